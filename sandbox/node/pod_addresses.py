"""The addresses of pods, as Kubernetes knows them."""

from __future__ import annotations

import ipaddress
import random

RESERVED_ADDRESSES = 256
"""10.N.0.x, of which 127.N.0.1 is the sandbox's own."""


class PodAddresses:
    """Gives out the addresses of a network in turn, from a random one on, so that none comes back soon."""

    def __init__(self, network: str) -> None:
        """`network` is a /16."""
        self._network = ipaddress.ip_network(network)
        self._used: set[int] = set()
        self._count = self._network.num_addresses - RESERVED_ADDRESSES - 1  # the last is the broadcast address
        self._next = random.randrange(self._count)  # noqa: S311 (not a secret)

    def take(self) -> str:
        """Return a free address. Raises RuntimeError if there is none."""
        for _ in range(self._count):
            number = self._next
            self._next = (self._next + 1) % self._count
            if number not in self._used:
                self._used.add(number)
                return str(self._network[RESERVED_ADDRESSES + number])
        raise RuntimeError(f"no free pod address in {self._network}: {len(self._used)} are in use")

    def release(self, address: str) -> None:
        """Take an address back."""
        first = int(self._network.network_address) + RESERVED_ADDRESSES
        self._used.discard(int(ipaddress.ip_address(address)) - first)
