"""What pydantic finds wrong with the settings, as the user reads it: setting, value, rule, remedy. Pure."""

from __future__ import annotations

import difflib
import json

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

_RULES = {
    "greater_than_equal": "be at least {ge}",
    "less_than_equal": "be at most {le}",
    "literal_error": "be {expected}",
    "int_parsing": "be a whole number",
    "int_type": "be a whole number",
    "int_from_float": "be a whole number",
    "bool_parsing": "be true or false",
    "bool_type": "be true or false",
    "string_type": "be text",
    "model_type": "be an object, with a setting in each line below it",
    "list_type": "be a list",
}
"""The rules that pydantic checks by itself, by the type of its error, to be filled in from the error's context."""


def describe(model: type[BaseModel], namespace: str, mistake: ErrorDetails) -> str:
    """One mistake in the settings `model`, in two lines: setting, value and rule; then the remedy."""
    setting = f"{namespace}:{'.'.join(str(part) for part in mistake['loc'])}"
    if mistake["type"] == "missing":
        return f"  {setting} is not set, but is required.\n    Remedy: {_command(model, setting, mistake)}"
    if mistake["type"] == "extra_forbidden":
        known = _fields_beside(model, mistake)
        closest = difflib.get_close_matches(str(mistake["loc"][-1]), known, n=1) or [f"one of {', '.join(known)}"]
        return f"  {setting} is {mistake['input']!r}, but there is no such setting.\n    Remedy: use {closest[0]}"
    context = mistake.get("ctx", {})
    rule = context.get("rule") or _RULES.get(mistake["type"], f"be right: {mistake['msg']}").format(**context)
    remedy = context.get("remedy") or _command(model, setting, mistake)
    return f"  {setting} is {mistake['input']!r}, but must {rule}.\n    Remedy: {remedy}"


def _fields_beside(model: type[BaseModel], mistake: ErrorDetails) -> dict[str, FieldInfo]:
    """The fields, by their configuration keys, of the model in which the mistake is."""
    fields = _fields(model)
    for part in mistake["loc"][:-1]:
        annotation = fields[part].annotation if isinstance(part, str) else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = _fields(annotation)
    return fields


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _command(model: type[BaseModel], setting: str, mistake: ErrorDetails) -> str:
    """The command that sets the setting to an example, or to its default where it has none."""
    names = [part for part in mistake["loc"] if isinstance(part, str)]
    field = _fields_beside(model, mistake)[names[-1]]
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        setting, field = next((f"{setting}.{key}", inner) for key, inner in _fields(type(default)).items())
    value = field.examples[0] if field.examples else json.dumps(default)
    return f"pulumi config set --path {setting} {value}"
