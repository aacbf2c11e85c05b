"""The settings of the load balancer."""

from __future__ import annotations

from pydantic import Field

from registry.settings.model import SettingsModel
from registry.settings.value_types import Cidr, NegotiationPolicy


class LoadBalancerSettings(SettingsModel):
    """`loadBalancer`: the way in."""

    internal: bool = Field(
        default=False,
        description="Give the load balancer private addresses only: no way in from the internet. Changing it makes "
        "another load balancer.",
    )
    allowed_cidrs: list[Cidr] | None = Field(
        default=None,
        min_length=1,
        examples=["203.0.113.0/24", "198.51.100.7/32"],
        description="The ranges of IPv4 addresses that may connect. Left out: all.",
    )
    idle_timeout_seconds: int = Field(
        default=900,
        # service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout takes 1 to 4000.
        ge=1,
        le=4000,
        examples=[3600],
        description="How long a connection may be silent, 1 to 4000 seconds. A push is, while S3 puts the parts of a "
        "big layer together; AWS's own 60 cuts it off.",
    )
    ssl_negotiation_policy: NegotiationPolicy = Field(
        default="ELBSecurityPolicy-TLS-1-2-2017-01",
        description="The protocols and ciphers that clients may use: a predefined security policy of classic load "
        "balancers.",
    )
