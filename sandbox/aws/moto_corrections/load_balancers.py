"""Classic and network load balancers."""

from __future__ import annotations

import inspect
import random
from typing import Any

from moto.elb import models as elb
from moto.elbv2 import models as elbv2
from moto.elbv2.exceptions import TargetGroupNotFoundError

from sandbox.aws.moto_corrections.replacing import instead_of
from sandbox.layout import REGION

CLASSIC_HOSTED_ZONE_ID = "Z35SXDOTRQ7X7K"
"""The hosted zone of classic and application load balancers in us-east-1."""
NETWORK_HOSTED_ZONE_ID = "Z26RNL4JYFTOTI"
"""The hosted zone of network load balancers in us-east-1."""


def complete_load_balancers() -> None:
    """moto makes a classic load balancer without a health check and a hosted zone id, and NLBs with a made-up one.

    A network one that was asked for without a scheme has none there; in AWS it is `internet-facing`.

    AWS gives a classic one a health check of its first listener's instance port, which the AWS cloud controller reads,
    and each its region's hosted zone, which alias records must name.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-healthchecks.html
    https://docs.aws.amazon.com/general/latest/gr/elb.html
    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
    """

    @instead_of(elb.LoadBalancer, "__init__")
    def _(original: Any, self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        self.canonical_hosted_zone_name_id = CLASSIC_HOSTED_ZONE_ID
        port = self.listeners[0].instance_port
        self.health_check = elb.FakeHealthCheck("5", "10", "2", "30", f"TCP:{port}")

    @instead_of(elbv2.FakeLoadBalancer, "__init__")
    def _(original: Any, self: elbv2.FakeLoadBalancer, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        network = self.type == "network"
        self.canonical_hosted_zone_id = NETWORK_HOSTED_ZONE_ID if network else CLASSIC_HOSTED_ZONE_ID
        self.scheme = self.scheme or "internet-facing"


def keep_the_instance_protocol_of_listeners() -> None:
    """moto reports the front protocol of a classic listener as the instances' one too.

    AWS keeps `InstanceProtocol`: HTTPS in front of HTTP is what `backend-protocol: http` asks for.
    """

    def remember(listeners: list[Any], ports: list[dict[str, Any]]) -> None:
        for listener in listeners:
            for port in ports:
                if port["LoadBalancerPort"] == listener.load_balancer_port and "InstanceProtocol" in port:
                    listener.backend_protocol = port["InstanceProtocol"].upper()

    def instance_protocol(self: Any) -> str:
        return getattr(self, "backend_protocol", self.protocol)

    setattr(elb.FakeListener, "instance_protocol", property(instance_protocol))  # noqa: B010 (it has no setter)

    @instead_of(elb.LoadBalancer, "__init__")
    def _(original: Any, self: elb.LoadBalancer, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        remember(self.listeners, named["ports"])

    @instead_of(elb.ELBBackend, "create_load_balancer_listeners")
    def _(original: Any, self: elb.ELBBackend, name: str, ports: list[dict[str, Any]]) -> Any:
        balancer = original(self, name, ports)
        remember(balancer.listeners if balancer else [], ports)
        return balancer


def delete_all_listeners_that_are_named() -> None:
    """moto, asked to delete the listeners of two ports, deletes none and doubles the others."""

    @instead_of(elb.ELBBackend, "delete_load_balancer_listeners")
    def _(original: Any, self: elb.ELBBackend, name: str, ports: list[int]) -> None:
        for port in ports:
            original(self, name, [port])


def name_load_balancers_as_aws_does() -> None:
    """moto's DNS names are `NAME.us-east-1.elb.amazonaws.com` for classic and `NAME-1.REGION.elb...` for network ones.

    AWS's are `NAME-DIGITS.REGION.elb.amazonaws.com`, with `internal-` before them if that is the scheme, and
    `NAME-ID.elb.REGION.amazonaws.com`, where the id is the end of the ARN: clients tell the kind by the name.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-internet-facing-load-balancers.html
    https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-internal-load-balancers.html
    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html
    """

    @instead_of(elb.LoadBalancer, "__init__")
    def _(original: Any, self: elb.LoadBalancer, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        prefix = "internal-" if self.scheme == "internal" else ""
        number = random.randint(10**8, 2 * 10**9)  # noqa: S311 (not a secret)
        self.dns_name = f"{prefix}{self.name}-{number}.{REGION}.elb.amazonaws.com"

    @instead_of(elbv2.FakeLoadBalancer, "__init__")
    def _(original: Any, self: elbv2.FakeLoadBalancer, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        if self.type == "network":
            self.dns_name = f"{self.name}-{self.arn.rpartition('/')[2]}.elb.{REGION}.amazonaws.com"


def complete_target_groups_of_network_load_balancers() -> None:
    """moto knows no default of the attributes that only target groups of network load balancers have.

    Client addresses are preserved, except with ip targets behind TCP and TLS.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html
    """

    @instead_of(elbv2.FakeTargetGroup, "__init__")
    def _(original: Any, self: elbv2.FakeTargetGroup, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        if self.protocol in {"TCP", "TLS", "UDP", "TCP_UDP"}:
            loses_addresses = self.target_type == "ip" and self.protocol in {"TCP", "TLS"}
            self.attributes |= {
                "preserve_client_ip.enabled": "false" if loses_addresses else "true",
                "proxy_protocol_v2.enabled": "false",
                "deregistration_delay.connection_termination.enabled": "false",
            }


def change_tls_listeners() -> None:
    """moto refuses to change a listener to TLS, also one that has it, and ignores a change of its certificates.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyListener.html
    """

    @instead_of(elbv2.ELBv2Backend, "modify_listener")
    def _(original: Any, self: elbv2.ELBv2Backend, arn: str, *arguments: Any, **named: Any) -> Any:
        (listener,) = self.describe_listeners(None, [arn])
        bound = inspect.signature(original).bind(self, arn, *arguments, **named)
        is_tls = (bound.arguments.get("protocol") or listener.protocol) == "TLS"
        if is_tls:
            bound.arguments["protocol"] = "HTTPS"  # to which the same rules apply
        original(*bound.args, **bound.kwargs)
        if is_tls:
            listener.protocol = "TLS"
        return listener


def tell_target_groups_of_a_load_balancer_as_they_are() -> None:
    """moto notes a target group's load balancers as a listener is created, and never again.

    The AWS cloud controller gives a listener another target group where a NodePort changes, and asks later for those
    of the load balancer, to delete them; a load balancer without any is no error.
    """

    @instead_of(elbv2.ELBv2Backend, "describe_target_groups")
    def _(original: Any, self: elbv2.ELBv2Backend, load_balancer_arn: str | None, *others: Any, **named: Any) -> Any:
        for group in list(self.target_groups.values()):
            group.load_balancer_arns = [
                balancer.arn for balancer in list(self.load_balancers.values()) if forwards(self, balancer, group.arn)
            ]
        try:
            return original(self, load_balancer_arn, *others, **named)
        except TargetGroupNotFoundError:
            if load_balancer_arn:
                return []
            raise

    def forwards(backend: elbv2.ELBv2Backend, balancer: elbv2.FakeLoadBalancer, group_arn: str) -> bool:
        return any(
            group_arn in backend._get_target_group_arns_from(action_data=action.data)
            for listener in list(balancer.listeners.values())
            for rule in list(listener.rules.values())
            for action in rule.actions
        )


def tell_the_target_group_of_an_action_in_both_ways() -> None:
    """moto tells of an action that forwards what it was given: `TargetGroupArn` or `ForwardConfig`.

    AWS tells both where there is one target group; the AWS Load Balancer Controller gives the second only.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Action.html
    """

    @instead_of(elbv2.FakeAction, "__init__")
    def _(original: Any, self: elbv2.FakeAction, data: dict[str, Any]) -> None:
        groups = (data.get("ForwardConfig") or {}).get("TargetGroups", [])
        if data["Type"] == "forward" and len(groups) == 1:
            data = data | {"TargetGroupArn": groups[0]["TargetGroupArn"]}
        elif data.get("TargetGroupArn") and not groups:
            data = data | {"ForwardConfig": {"TargetGroups": [{"TargetGroupArn": data["TargetGroupArn"]}]}}
        original(self, data)
