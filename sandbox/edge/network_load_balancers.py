"""Network load balancers and their target groups as the edge needs them; everything here blocks."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, ip_network
from typing import Any

from sandbox.edge.aws_client import admitted, client, pages
from sandbox.edge.routes import Listener, Network
from sandbox.edge.target_groups import HealthCheck, TargetGroup, TargetId
from sandbox.layout import Account

IDLE_SECONDS = 350
"""Of TLS listeners, and of TCP listeners that have no `tcp.idle_timeout.seconds` (60 to 6000).
https://docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html"""
END_WHEN_DRAINED = "deregistration_delay.connection_termination.enabled"
END_WHEN_UNHEALTHY = "target_health_state.unhealthy.connection_termination.enabled"
TARGET_PROTOCOLS = {"TCP", "TLS", "TCP_UDP"}
"""Of target groups that network load balancers send TCP connections to."""
ANYBODY = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class NetworkLoadBalancer:
    """One of the account's."""

    kind = "network"

    def __init__(self, description: dict[str, Any], clients: dict[str, Any]) -> None:
        """Read what `description`, of DescribeLoadBalancers, leaves out through `clients`, by service."""
        self.name: str = description["LoadBalancerName"]
        self.hosted_zone_id: str = description["CanonicalHostedZoneId"]
        self._description = description
        self._elbv2, self._ec2 = clients["elbv2"], clients["ec2"]

    def listeners(self) -> dict[int, Listener]:
        """Return the listeners by port."""
        found = {}
        arn = self._description["LoadBalancerArn"]
        for entry in pages(self._elbv2, "describe_listeners", "Listeners", LoadBalancerArn=arn):
            group = next(action["TargetGroupArn"] for action in entry["DefaultActions"] if action["Type"] == "forward")
            certificates = entry.get("Certificates") or [{}]
            found[entry["Port"]] = Listener(
                protocol=entry["Protocol"],
                instance_protocol=self._target_group(group)["Protocol"],
                instance_port=None,
                certificate_arn=certificates[0].get("CertificateArn"),
                security_policy=entry.get("SslPolicy") or "",
                arn=entry["ListenerArn"],
                target_group=group,
            )
        return found

    def idle_seconds(self, listener: Listener) -> float:
        """Return the listener's idle timeout, which is fixed for TLS."""
        if listener.protocol != "TCP":
            return IDLE_SECONDS
        attributes = self._elbv2.describe_listener_attributes(ListenerArn=listener.arn)["Attributes"]
        return int(_value(attributes, "tcp.idle_timeout.seconds") or IDLE_SECONDS)

    def preserves_client_address(self, listener: Listener) -> bool:
        """Tell what the target group's `preserve_client_ip.enabled` says, by default so for instances alone.

        https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html
        """
        arn = listener.target_group
        attributes = self._elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
        if (value := _value(attributes, "preserve_client_ip.enabled")) is not None:
            return value == "true"
        return self._target_group(arn)["TargetType"] == "instance"

    def sources(self, port: int, listener: Listener) -> tuple[Network, ...]:
        """Return whom the load balancer's security groups admit. Without one, its targets' groups decide.

        Unless the client's address is preserved, they see the load balancer's own in its subnets: they admit anybody
        or nobody.
        """
        if groups := self._description.get("SecurityGroups"):
            return admitted(self._ec2, groups, port)
        let_in = self._admitted_by_targets(listener.target_group)
        if self.preserves_client_address(listener):
            return let_in
        subnets = [zone["SubnetId"] for zone in self._description["AvailabilityZones"]]
        blocks = [subnet["CidrBlock"] for subnet in self._ec2.describe_subnets(SubnetIds=subnets)["Subnets"]]
        return ANYBODY if all(_covered(IPv4Network(block), let_in) for block in blocks) else ()

    def _admitted_by_targets(self, group: str) -> tuple[Network, ...]:
        """Return whom the security groups of instances admit to the ports of the targets that run on them.

        Pods are in the groups of their node (https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html),
        and any instance of the VPC may be that.
        """
        described = self._elbv2.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        targets = [one["Target"] for one in described]
        if not targets:
            return ANYBODY  # who is then told what is missing
        ids = [target["Id"] for target in targets if target["Id"].startswith("i-")]
        which: dict[str, Any] = {"InstanceIds": ids}
        if not ids:
            which = {"Filters": [{"Name": "vpc-id", "Values": [self._description["VpcId"]]}]}
        groups = {
            group["GroupId"]
            for reservation in self._ec2.describe_instances(**which)["Reservations"]
            for instance in reservation["Instances"]
            for group in instance["SecurityGroups"]
        }
        ports = {target["Port"] for target in targets}
        return tuple(source for port in sorted(ports) for source in admitted(self._ec2, sorted(groups), port))

    def _target_group(self, arn: str) -> dict[str, Any]:
        return self._elbv2.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]


class TargetGroups:
    """The target groups of an account."""

    def __init__(self, url: str, account: Account) -> None:
        """Read through the AWS API at `url` with the key of `account`."""
        self._elbv2 = client("elbv2", url, account)

    def read(self) -> list[TargetGroup]:
        """Return those of network load balancers, as they are now. Raises botocore's errors."""
        return list(self._read())

    def _read(self) -> Iterator[TargetGroup]:
        for group in pages(self._elbv2, "describe_target_groups", "TargetGroups"):
            arn = group["TargetGroupArn"]
            if group.get("Protocol") not in TARGET_PROTOCOLS:
                continue
            try:
                health = self._elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
                attributes = self._elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
            except self._elbv2.exceptions.TargetGroupNotFoundException:
                continue  # deleted meanwhile
            yield TargetGroup(
                arn=arn,
                name=group["TargetGroupName"],
                check=_health_check(group),
                targets={
                    TargetId(one["Target"]["Id"], one["Target"]["Port"]): one["TargetHealth"]["State"] for one in health
                },
                ends_connections_when_drained=_value(attributes, END_WHEN_DRAINED) == "true",
                ends_connections_when_unhealthy=_value(attributes, END_WHEN_UNHEALTHY) != "false",
            )


def _health_check(group: dict[str, Any]) -> HealthCheck:
    return HealthCheck(
        protocol=group["HealthCheckProtocol"],
        port=group["HealthCheckPort"],
        path=group.get("HealthCheckPath") or "/",
        interval_seconds=group["HealthCheckIntervalSeconds"],
        timeout_seconds=group["HealthCheckTimeoutSeconds"],
        healthy_threshold=group["HealthyThresholdCount"],
        unhealthy_threshold=group["UnhealthyThresholdCount"],
        status_codes=group.get("Matcher", {}).get("HttpCode") or "200-399",
    )


def _value(attributes: list[dict[str, str]], key: str) -> str | None:
    return next((attribute["Value"] for attribute in attributes if attribute["Key"] == key), None)


def _covered(block: IPv4Network, admitted: tuple[Network, ...]) -> bool:
    return any(isinstance(source, IPv4Network) and block.subnet_of(source) for source in admitted)
