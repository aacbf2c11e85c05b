"""A pod's rules on their way to its relays."""

from __future__ import annotations

import pytest

from sandbox.node.network_policy.address_ranges import block
from sandbox.node.network_policy.rules import Rule, Rules


@pytest.mark.parametrize(
    "rules",
    [
        Rules(),
        Rules((), (), block("127.0.0.0/8")),
        Rules((Rule(block("10.0.0.0/8"), "TCP", 80, 85), Rule(block("192.0.2.1"))), None),
        Rules(None, (Rule((), "UDP"),)),
    ],
)
def test_rules_arrive_as_they_were_sent(rules: Rules) -> None:
    assert Rules.from_json(rules.to_json()) == rules
