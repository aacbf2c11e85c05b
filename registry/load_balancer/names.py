"""What a load balancer's DNS name tells: its kind, and its region."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pulumi

_NETWORK = re.compile(r"\.elb\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?$")
_CLASSIC = re.compile(r"\.(?P<region>[a-z0-9-]+)\.elb\.amazonaws\.com(\.cn)?$")
"""The ends of the names: canonicalHostedZone() of github.com/kubernetes-sigs/external-dns, provider/aws/aws.go, knows
them apart by these alone."""


class UnknownNameError(pulumi.RunError):
    """A name that no load balancer of AWS has. The message says which, and what to do."""


@dataclass(frozen=True)
class Name:
    """A network load balancer's name or a classic one's, and its region."""

    is_network: bool
    region: str


def read(hostname: str | None) -> Name:
    """Tell whose name it is: each region has a hosted zone for either kind. Raises UnknownNameError."""
    name = (hostname or "").lower()
    if found := _NETWORK.search(name):
        return Name(is_network=True, region=found["region"])
    if found := _CLASSIC.search(name):
        return Name(is_network=False, region=found["region"])
    raise UnknownNameError(
        f"the Service's load balancer is called {hostname or 'by an address only'}, which is no name of a load "
        "balancer of AWS, so that no alias record can lead to it.\n"
        "    Remedy: kubectl describe service kube-registry tells who made it; name the controller that is to make one "
        "of AWS by loadBalancer.class or loadBalancer.type"
    )
