"""What the edge knows of a name and port: the listener behind it, and what is behind the listener."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from ssl import TLSVersion
from typing import Protocol

HTTP_PROTOCOLS = {"HTTP", "HTTPS"}
TLS_PROTOCOLS = {"HTTPS", "SSL", "TLS"}

Network = IPv4Network | IPv6Network


class UnreachableError(Exception):
    """Why a name, or what is behind it, can't be reached, and the remedy: a text for the client."""


@dataclass(frozen=True)
class Route:
    """What AWS says about one name and port: the listener, and who may come in by it."""

    load_balancer: str
    """Its name."""
    port: int
    """The listener's."""
    protocol: str
    """TCP, HTTP, SSL, HTTPS (classic), TCP or TLS (network)."""
    instance_port: int | None
    """The NodePort behind a classic load balancer; a network load balancer's target group has ports of its own."""
    idle_seconds: float
    sources: tuple[Network, ...]
    """The client addresses that the security groups admit."""
    target_group: str = ""
    """The ARN of the target group behind a network load balancer."""
    preserves_client_address: bool = False
    """Whether targets see the client's address, and so answer the client and not the load balancer."""
    certificate_names: tuple[str, ...] = ()
    """The DNS names of the listener's certificate, `*.` wildcards among them; only where TLS is terminated."""
    security_policy: str = ""
    """The name of the listener's predefined TLS policy; empty for the default."""

    @property
    def speaks_http(self) -> bool:
        """Whether the load balancer understands requests, adds headers to them and answers errors itself."""
        return self.protocol in HTTP_PROTOCOLS

    @property
    def terminates_tls(self) -> bool:
        """Whether clients speak TLS to the load balancer."""
        return self.protocol in TLS_PROTOCOLS

    @property
    def tls_versions(self) -> tuple[TLSVersion, TLSVersion]:
        """The lowest and highest version of TLS that the policy lets clients speak; TLS 1.0 and 1.1 not in any case.

        https://docs.aws.amazon.com/elasticloadbalancing/latest/network/describe-ssl-policies.html
        """
        lowest = TLSVersion.TLSv1_3 if "TLS13-1-3" in self.security_policy else TLSVersion.TLSv1_2
        highest = TLSVersion.TLSv1_3 if "TLS13" in self.security_policy else TLSVersion.TLSv1_2
        return lowest, highest

    def admits(self, address: str) -> bool:
        """Tell whether the security groups let the client with this IP address in."""
        return any(ip_address(address) in source for source in self.sources)


@dataclass(frozen=True)
class Listener:
    """A port of a load balancer."""

    protocol: str
    instance_protocol: str
    """What the load balancer speaks to instances or targets."""
    instance_port: int | None
    """As a Route's."""
    certificate_arn: str | None
    security_policy: str
    arn: str = ""
    """As the next, of a network load balancer's only."""
    target_group: str = ""
    """As a Route's."""


class LoadBalancer(Protocol):
    """One load balancer of the account."""

    kind: str
    name: str
    hosted_zone_id: str

    def listeners(self) -> dict[int, Listener]:
        """Return the listeners by port."""
        ...

    def idle_seconds(self, listener: Listener) -> float:
        """Return after how many seconds without a byte a connection to `listener` is closed."""
        ...

    def preserves_client_address(self, listener: Listener) -> bool:
        """Tell whether what is behind `listener` sees the client's address."""
        ...

    def sources(self, port: int, listener: Listener) -> tuple[Network, ...]:
        """Return the client addresses admitted to `listener` on `port`."""
        ...
