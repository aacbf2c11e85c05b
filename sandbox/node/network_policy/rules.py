"""What a pod may be reached on and may reach: the outcome of all policies, as a pod's relays are told it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.node.network_policy.address_ranges import EVERYBODY, NOBODY, Ranges, contains, union

LAST_PORT = 65535


@dataclass(frozen=True)
class Rule:
    """Lets through what goes to one of the ports, and to or from one of the addresses."""

    addresses: Ranges
    protocol: str | None = None
    """TCP, UDP or SCTP; None for any."""
    first_port: int = 0
    last_port: int = LAST_PORT

    def is_about(self, protocol: str, port: int) -> bool:
        """Tell whether it lets through anything of this protocol to this port."""
        return self.protocol in (None, protocol) and self.first_port <= port <= self.last_port


@dataclass(frozen=True)
class Rules:
    """The rules of one pod. None in place of a direction's rules: no policy is about it, all may pass."""

    ingress: tuple[Rule, ...] | None = None
    egress: tuple[Rule, ...] | None = None
    marked: Ranges = NOBODY
    """The sources whose connections are known by their mark (gates.py) before they are made: they pass always."""

    def sources(self, protocol: str, port: int) -> Ranges:
        """Return who may come to `port` of the pod."""
        return _addresses(self.ingress, protocol, port)

    def let_out(self, protocol: str, address: str, port: int) -> bool:
        """Tell whether the pod may reach `port` of the IPv4 address `address`, which is the one that the pod sees."""
        return contains(_addresses(self.egress, protocol, port), address)

    def to_json(self) -> str:
        """Return what `from_json` takes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Rules:
        """Return the rules that `to_json` has written."""
        read = json.loads(text)
        return cls(_read(read["ingress"]), _read(read["egress"]), _ranges(read["marked"]))


def _read(rules: list[dict[str, Any]] | None) -> tuple[Rule, ...] | None:
    if rules is None:
        return None
    return tuple(Rule(_ranges(one.pop("addresses")), **one) for one in rules)


def _ranges(read: list[list[int]]) -> Ranges:
    return tuple((first, last) for first, last in read)


def _addresses(rules: Iterable[Rule] | None, protocol: str, port: int) -> Ranges:
    if rules is None:
        return EVERYBODY
    return union(rule.addresses for rule in rules if rule.is_about(protocol, port)) or NOBODY
