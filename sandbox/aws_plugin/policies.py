"""Policy documents (JSON): when two of them mean the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sandbox.aws_plugin.schema import Problem
from sandbox.aws_plugin.values import Properties


def canonical(policy: Any) -> Any:
    """A form of the policy document `policy` (a JSON text) that is equal for equivalent ones.

    Formatting, the order of a list, one text for a list of one, and principal "*" for {"AWS": "*"} make no difference.
    What is no JSON is returned as it is.
    """
    if not isinstance(policy, str):
        return policy
    try:
        document = json.loads(policy)
    except ValueError:
        return policy
    if not isinstance(document, dict):
        return document
    return {key: _statements(value) if key == "Statement" else value for key, value in document.items()}


def keep_if_equivalent(known: Any, found: str) -> str:
    """`known` if it means what AWS gave as `found`, so that another formatting is no change; else `found`."""
    return known if isinstance(known, str) and canonical(known) == canonical(found) else found


def problems(inputs: Properties, name: str) -> Iterator[Problem]:
    """Why the input `name` in `inputs` is no policy document, if so."""
    policy = inputs.get(name)
    if not isinstance(policy, str):
        return
    try:
        if not isinstance(json.loads(policy), dict):
            yield name, f"property {name!r} contains an invalid JSON policy: not a JSON object"
    except ValueError as error:
        yield name, f"property {name!r} contains an invalid JSON policy: {error}"


def _statements(statements: Any) -> list[Any]:
    statements = statements if isinstance(statements, list) else [statements]
    canonical_ones = [_statement(statement) for statement in statements]
    return sorted(canonical_ones, key=lambda statement: json.dumps(statement, sort_keys=True))


def _statement(statement: Any) -> Any:
    if not isinstance(statement, dict):
        return statement
    members = dict(statement)
    for name in ("Principal", "NotPrincipal"):
        if members.get(name) == "*":
            members[name] = {"AWS": "*"}
    return {key: value if key in ("Sid", "Effect") else _lists(value) for key, value in members.items()}


def _lists(value: Any) -> Any:
    """`value` with every text a list of one and every list in order, at every depth."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    items = value if isinstance(value, list) else [value]
    return sorted((str(item).lower() if isinstance(item, bool) else str(item)) for item in items)
