"""Label selectors, as the API has them."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.node.network_policy.label_selectors import selects

LABELS = {"app": "web", "tier": "front"}


def expression(operator: str, key: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "back"}}, False),
        ({"matchLabels": {"missing": ""}}, False),
        (expression("In", "app", "db", "web"), True),
        (expression("In", "app", "db"), False),
        (expression("In", "missing", "db"), False),
        (expression("NotIn", "app", "db"), True),
        (expression("NotIn", "app", "web"), False),
        (expression("NotIn", "missing", "web"), True),
        (expression("Exists", "app"), True),
        (expression("Exists", "missing"), False),
        (expression("DoesNotExist", "missing"), True),
        (expression("DoesNotExist", "app"), False),
        ({"matchLabels": {"app": "web"}} | expression("Exists", "missing"), False),
    ],
)
def test_a_selector_selects_by_all_that_it_says(selector: dict[str, Any], selected: bool) -> None:
    assert selects(selector, LABELS) is selected


def test_an_unknown_operator_is_named() -> None:
    with pytest.raises(ValueError, match="the operator Gt of a label selector is not known"):
        selects(expression("Gt", "app", "1"), LABELS)
