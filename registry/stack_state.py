"""The stack as its state has it: told by the engine, to a program that wants to know its own."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from typing import Any

import pulumi


def stack_name() -> str:
    """The stack's full name, `organization/project/stack`."""
    return f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"


def known_output(resource: pulumi.CustomResource, output: str) -> str | None:
    """A text that is an output of a resource, which is registered already; None where a preview does not know it."""
    answer = pulumi.runtime.invoke("pulumi:pulumi:getResource", {"urn": resource.urn}).value or {}
    result = (answer.get("state") or {}).get(output)
    return result if isinstance(result, str) else None


def last_outputs() -> Mapping[str, Any]:
    """The stack's outputs after its last update; empty before its first."""
    return _asked("readStackOutputs", "name")


def resources(type_: str) -> dict[str, Mapping[str, Any]]:
    """The outputs of each resource of a type, such as `aws:s3/bucket:Bucket`, that the state has, by its name.

    Those of an update that was broken off are among them, as the engine notes a resource as soon as it is made. Only
    for a stack that has a state: where there is none yet, the engine (3.245) fails itself.
    """
    found = _resource_outputs()
    return {urn.rpartition("::")[2]: one["outputs"] for urn, one in found.items() if one["type"] == type_}


def former_name(type_: str, former: str, /, **told: Any) -> list[pulumi.Alias] | None:
    """The alias of a resource that has another name now, if the state has the former one and it tells the same.

    `told`: outputs of the former one (as of `resources`), of `metadata` too, by which it is known to be the same thing.
    """
    outputs = resources(type_).get(former, {})
    found = {**outputs, **outputs.get("metadata", {})}
    is_it = bool(outputs) and all(found.get(key) == value for key, value in told.items())
    return [pulumi.Alias(name=former)] if is_it else None


@functools.cache
def _resource_outputs() -> Mapping[str, Any]:
    """As they are when it is first asked: an update changes them on its way."""
    return _asked("readStackResourceOutputs", "stackName")


def _asked(function: str, argument: str) -> Mapping[str, Any]:
    # A state in the layout of before Pulumi 3.61 knows stacks by their bare names only.
    for name in (stack_name(), pulumi.get_stack()):
        with contextlib.suppress(Exception):
            answer = pulumi.runtime.invoke(f"pulumi:pulumi:{function}", {argument: name})
            return (answer.value or {}).get("outputs") or {}
    return {}
