"""Classic load balancers ("ELB") as the edge needs them; everything here blocks."""

from __future__ import annotations

from typing import Any

from sandbox.edge.aws_client import admitted
from sandbox.edge.routes import Listener, Network, UnreachableError


class ClassicLoadBalancer:
    """One of the account's."""

    kind = "classic"

    def __init__(self, description: dict[str, Any], clients: dict[str, Any]) -> None:
        """Read what `description`, of DescribeLoadBalancers, leaves out through `clients`, by service."""
        self.name: str = description["LoadBalancerName"]
        self.hosted_zone_id: str = description["CanonicalHostedZoneNameID"]
        self._description = description
        self._clients = clients

    def listeners(self) -> dict[int, Listener]:
        """Return the listeners by port. Raises UnreachableError if no instance is behind them."""
        if not self._description["Instances"]:
            raise UnreachableError(f"the classic load balancer {self.name} has no instance: register the node's")
        return {
            listener["LoadBalancerPort"]: Listener(
                protocol=listener["Protocol"],
                instance_protocol=listener["InstanceProtocol"],
                instance_port=listener["InstancePort"],
                certificate_arn=listener.get("SSLCertificateId"),
                security_policy=self._security_policy(entry.get("PolicyNames", [])),
            )
            for entry in self._description["ListenerDescriptions"]
            for listener in [entry["Listener"]]
        }

    def _security_policy(self, names: list[str]) -> str:
        if not names:
            return ""
        policies = self._clients["elb"].describe_load_balancer_policies(LoadBalancerName=self.name, PolicyNames=names)
        attributes = (
            attribute
            for policy in policies["PolicyDescriptions"]
            for attribute in policy.get("PolicyAttributeDescriptions", [])
        )
        values = (
            attribute["AttributeValue"]
            for attribute in attributes
            if attribute["AttributeName"] == "Reference-Security-Policy"
        )
        return next(values, "")

    def idle_seconds(self, listener: Listener) -> float:
        """Return the idle timeout, which all listeners share."""
        attributes = self._clients["elb"].describe_load_balancer_attributes(LoadBalancerName=self.name)
        return attributes["LoadBalancerAttributes"]["ConnectionSettings"]["IdleTimeout"]

    def preserves_client_address(self, listener: Listener) -> bool:
        """It never does: it is a proxy."""
        return False

    def sources(self, port: int, listener: Listener) -> tuple[Network, ...]:
        """Return whom the load balancer's security groups admit."""
        return admitted(self._clients["ec2"], self._description.get("SecurityGroups", []), port)
