"""The target groups of network load balancers, as AWS describes them."""

from __future__ import annotations

from dataclasses import dataclass

TRAFFIC_PORT = "traffic-port"
"""For a health check on the port that gets the traffic."""


@dataclass(frozen=True)
class HealthCheck:
    """How targets are checked.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
    """

    protocol: str = "TCP"
    """TCP, HTTP or HTTPS."""
    port: str = TRAFFIC_PORT
    """A number, or TRAFFIC_PORT."""
    path: str = "/"
    interval_seconds: float = 30
    timeout_seconds: float = 10
    healthy_threshold: int = 5
    """So many successes one after the other make a target healthy,"""
    unhealthy_threshold: int = 2
    """and so many failures unhealthy."""
    status_codes: str = "200-399"
    """Numbers and ranges, with commas between."""

    def accepts(self, status: int) -> bool:
        """Tell whether an HTTP status counts as success."""
        ranges = (part.partition("-") for part in self.status_codes.split(","))
        return any(int(first) <= status <= int(last or first) for first, _, last in ranges)


@dataclass(frozen=True, order=True)
class TargetId:
    """An instance's id or a pod's address, and the port that gets the traffic."""

    id: str
    port: int

    def __str__(self) -> str:
        """Return id:port."""
        return f"{self.id}:{self.port}"

    @property
    def is_instance(self) -> bool:
        """Whether it is an EC2 instance, whose port is a NodePort."""
        return self.id.startswith("i-")


@dataclass(frozen=True)
class TargetGroup:
    """A target group, its targets, and what becomes of their connections."""

    arn: str
    name: str
    check: HealthCheck
    targets: dict[TargetId, str]
    """Each with the state that AWS tells: `unused`, `draining`, or one that comes from the edge."""
    ends_connections_when_drained: bool = False
    """`deregistration_delay.connection_termination.enabled`."""
    ends_connections_when_unhealthy: bool = True
    """`target_health_state.unhealthy.connection_termination.enabled`.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html"""
