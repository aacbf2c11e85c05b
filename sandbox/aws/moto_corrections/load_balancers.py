"""Classic and network load balancers."""

from __future__ import annotations

from typing import Any

from moto.elb import models as elb
from moto.elbv2 import models as elbv2

from sandbox.aws.moto_corrections.replacing import instead_of

CLASSIC_HOSTED_ZONE_ID = "Z35SXDOTRQ7X7K"
"""The hosted zone of classic and application load balancers in us-east-1."""
NETWORK_HOSTED_ZONE_ID = "Z26RNL4JYFTOTI"
"""The hosted zone of network load balancers in us-east-1."""


def complete_load_balancers() -> None:
    """moto makes a classic load balancer without a health check and a hosted zone id, and NLBs with a made-up one.

    AWS gives a classic one a health check of its first listener's instance port, which the AWS cloud controller reads,
    and each its region's hosted zone, which alias records must name.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-healthchecks.html
    https://docs.aws.amazon.com/general/latest/gr/elb.html
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
