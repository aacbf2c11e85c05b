"""Sets of IPv4 addresses, as ranges: what blocks, exceptions and pods come to."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, ip_address, ip_network

Ranges = tuple[tuple[int, int], ...]
"""First and last address of each range, as numbers; in order, with gaps between."""

NOBODY: Ranges = ()
EVERYBODY: Ranges = ((0, 2**32 - 1),)


def block(cidr: str) -> Ranges:
    """Return the addresses of a block or, without a `/`, of one address; none of an IPv6 block: pods have IPv4 only."""
    network = ip_network(cidr, strict=False)
    if not isinstance(network, IPv4Network):
        return NOBODY
    return ((int(network.network_address), int(network.broadcast_address)),)


def union(sets: Iterable[Ranges]) -> Ranges:
    """Return the addresses that are in one of `sets` at least."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(one for each in sets for one in each):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def without(ranges: Ranges, excluded: Ranges) -> Ranges:
    """Return the addresses of `ranges` that are not in `excluded`."""
    left = list(ranges)
    for first, last in excluded:
        cut = [[(a, min(b, first - 1)), (max(a, last + 1), b)] for a, b in left]
        left = [(a, b) for parts in cut for a, b in parts if a <= b]
    return tuple(left)


def common(one: Ranges, other: Ranges) -> Ranges:
    """Return the addresses that are in both."""
    return without(one, without(EVERYBODY, other))


def contains(ranges: Ranges, address: str) -> bool:
    """Tell whether an IPv4 address is among them."""
    number = int(ip_address(address))
    return any(first <= number <= last for first, last in ranges)
