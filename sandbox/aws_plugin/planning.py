"""What is computed rather than asked of AWS: completed inputs, a preview's outputs, an import's inputs."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping

from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import CheckRequest

from sandbox.aws_plugin.errors import GoneError, PluginError
from sandbox.aws_plugin.resource import AutoName, Resource
from sandbox.aws_plugin.schema import Problem, is_json_document
from sandbox.aws_plugin.values import UNKNOWN, Properties, has_unknown, plain, plain_map, prune, wrap

DEFAULTS = "__defaults"
"""The input that names the inputs which Check, not the program, gave; the real provider's own."""
_RANDOM_DIGITS = 7
"""Hexadecimal digits that the real provider appends to a logical name."""


def given_inputs(values: Mapping[str, PropertyValue]) -> Properties:
    """The plain inputs in `values`, without the engine's and the provider's own marks."""
    return {name: value for name, value in plain_map(values).items() if not name.startswith("__")}


def complete(
    resource: type[Resource], request: CheckRequest, subject: str
) -> tuple[dict[str, PropertyValue], list[Problem]]:
    """The inputs of `request` with defaults, the automatic name, and documents as JSON text; and what can't be so."""
    inputs = {name: value for name, value in request.new_inputs.items() if value.value is not None}
    inputs.pop(DEFAULTS, None)
    defaults: list[str] = []
    problems: list[Problem] = []
    for name, value in resource.defaults.items():
        if name not in inputs:
            inputs[name] = wrap(value)
            defaults.append(name)
    naming = resource.auto_name
    if naming and naming.name not in inputs:
        name = _kept_name(naming, request) or _new_name(naming, request)
        if len(name) > naming.longest:
            problems.append(
                (
                    naming.name,
                    f"{subject}: the automatic {naming.name!r} {name!r} has {len(name)} characters, AWS takes "
                    f"{naming.longest}; shorten the resource's name or give {naming.name!r}",
                )
            )
        inputs[naming.name] = wrap(name)
        defaults.append(naming.name)
    for name, value in inputs.items():
        if isinstance(value.value, Mapping) and is_json_document(resource.schema().inputs.get(name)):
            document = plain(value)
            text = UNKNOWN if has_unknown(document) else json.dumps(document)
            inputs[name] = wrap(text, value.contains_secret())
    inputs[DEFAULTS] = wrap(sorted(defaults))
    return inputs, problems


def existing_outputs(resource: Resource, resource_id: str, state: Properties) -> Properties:
    """The outputs of what was just made or changed; raises PluginError if AWS doesn't have it."""
    try:
        return resource.outputs(resource_id, state)
    except GoneError:
        raise PluginError(f"reading {resource.name()} ({resource_id}): couldn't find resource") from None


def planned(resource: Resource, inputs: Properties, state: Properties) -> Properties:
    """The outputs that a preview shows for `inputs`: as far as known from them and, at an update, from `state`."""
    schema = resource.schema()
    outputs: Properties = dict(inputs)
    for name in schema.outputs - resource.absent_outputs - inputs.keys():
        if name in schema.inputs and name not in resource.computed - resource.local:
            continue  # not given, so it will not be set
        outputs[name] = state.get(name) if state else UNKNOWN
    for name, changed in resource.derived.items():
        if state and inputs.get(name) != state.get(name):
            outputs |= dict.fromkeys(changed, UNKNOWN)
    if "region" in schema.inputs:
        outputs["region"] = inputs.get("region") or resource.aws.region
    if "tagsAll" in schema.outputs:
        outputs["tagsAll"] = UNKNOWN if has_unknown(inputs.get("tags")) else resource.all_tags(inputs)
    if state:
        outputs["id"] = state.get("id")
    return outputs


def imported(resource: Resource, outputs: Properties) -> Properties:
    """The inputs that would make a resource with these `outputs`; defaults and what AWS chose by itself left out."""
    inputs = {}
    for name in resource.schema().inputs.keys() & outputs.keys() - resource.unsupported - {"region"}:
        default = resource.defaults.get(name)
        if prune(outputs[name]) is not None and outputs[name] != default:
            inputs[name] = outputs[name]
    return inputs


def _kept_name(naming: AutoName, request: CheckRequest) -> str | None:
    """The automatic name that the resource has already."""
    automatic = request.old_inputs.get(DEFAULTS)
    old = request.old_inputs.get(naming.name)
    if old is None or automatic is None or naming.name not in plain(automatic):
        return None
    return plain(old)


def _new_name(naming: AutoName, request: CheckRequest) -> str:
    digits = hashlib.sha256(request.random_seed).hexdigest() if request.random_seed else secrets.token_hex()
    name = f"{request.name}-{digits[:_RANDOM_DIGITS]}"
    return name.lower() if naming.lower else name
