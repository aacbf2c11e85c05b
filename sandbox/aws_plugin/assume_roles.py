"""The provider's configuration `assumeRoles`: the roles that it assumes, each by the rights of the one before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sandbox.aws_plugin.schema import Problem
from sandbox.aws_plugin.values import Unknown

_ARGUMENTS: Final = {"duration": "DurationSeconds", "externalId": "ExternalId", "sessionName": "RoleSessionName"}
"""STS's names of what may be given with a role's ARN."""
_SHORTEST, _LONGEST = 15 * 60, 12 * 60 * 60
"""Seconds; the real provider's rule."""
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


@dataclass(frozen=True)
class RoleToAssume:
    """A role by its ARN, and the other arguments of STS's AssumeRole."""

    arn: str
    arguments: dict[str, Any]


def from_json(value: Any) -> Any:
    """The plain `value` of a provider input: those that are no text come as JSON from some of the SDKs."""
    return json.loads(value) if isinstance(value, str) else value


def problems(roles: Any) -> Iterator[Problem]:
    """What is wrong with the value of `assumeRoles`, which may be UNKNOWN or None."""
    if roles is None or isinstance(roles, Unknown):
        return
    if not isinstance(roles, list) or not all(isinstance(role, dict) for role in roles):
        yield "assumeRoles", "'assumeRoles' must be a list of objects, each with a 'roleArn'"
        return
    for index, role in enumerate(map(_by_pulumis_names, roles)):
        at = f"assumeRoles[{index}]"
        if not role.get("roleArn"):
            yield f"{at}.roleArn", f"'{at}.roleArn' is required: the ARN of an IAM role"
        for name in sorted(role.keys() - _ARGUMENTS.keys() - {"roleArn"}):
            known = ", ".join(sorted({"roleArn", *_ARGUMENTS}))
            yield f"{at}.{name}", f"'{at}.{name}': the sandbox's stand-in does not implement it; it takes {known}"
        given = role.get("duration")
        if given is not None and not isinstance(given, Unknown) and not _SHORTEST <= _seconds(given) <= _LONGEST:
            yield f"{at}.duration", f"'{at}.duration' must be from 15m to 12h, such as 1h30m, not {given!r}"


def roles_to_assume(roles: list[dict[str, Any]] | None) -> list[RoleToAssume]:
    """The roles of a value of `assumeRoles` in which there are no problems, in the order in which to assume them."""
    found = []
    for role in map(_by_pulumis_names, roles or []):
        arguments = {sts: role[name] for name, sts in _ARGUMENTS.items() if role.get(name)}
        if "DurationSeconds" in arguments:
            arguments["DurationSeconds"] = int(_seconds(arguments["DurationSeconds"]))
        found.append(RoleToAssume(role["roleArn"], arguments))
    return found


def _by_pulumis_names(role: dict[str, Any]) -> dict[str, Any]:
    """`role` without nulls: Python's SDK passes the keys of a dict on as they are, so that some are `role_arn`."""
    named = {re.sub("_([a-z])", lambda match: match[1].upper(), name): value for name, value in role.items()}
    return {name: value for name, value in named.items() if value is not None}


def _seconds(duration: str) -> float:
    """A duration as Go writes it (`1h30m`); 0 if it is none."""
    parts = _PART.findall(duration)
    if "".join(number + unit for number, unit in parts) != duration:
        return 0
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
