"""What pydantic finds wrong with the settings, as the user reads it: setting, value, rule, remedy."""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Sequence
from typing import Self

import pulumi
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails


class SettingsError(pulumi.RunError):
    """The configuration has mistakes. The message lists each with setting, value, rule and remedy."""

    @classmethod
    def of(cls, mistakes: Sequence[str], place: str | None = None) -> Self:
        """The error that tells these mistakes, each in words already; `place`: for where the configuration has them."""
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        return cls("\n".join([f"the configuration has {count}{f', for {place}' if place else ''}:", *mistakes]))


def told(setting: str, value: object, rule: str, remedy: str) -> str:
    """One mistake as the user reads it, in two lines: setting (`zone`), value and rule; then the remedy.

    The rule completes the sentence "<setting> is <value>, but must ...".
    """
    is_ = "not set" if value is None else repr(value)
    return f"  {setting} is {is_}, but must {rule}.\n    Remedy: {remedy}"


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
    "dict_type": "be an object, with an entry in each line below it",
    "too_short": "have at least {min_length} entry",
}
"""The rules that pydantic checks by itself, by the type of its error, to be filled in from the error's context."""


def describe(model: type[BaseModel], mistake: ErrorDetails) -> str:
    """One mistake in the settings `model`, in two lines: setting, value and rule; then the remedy.

    A setting's key has no namespace: so it is good for the CLI and in a stack's file, whatever the project is called.
    """
    if mistake["type"] != "extra_forbidden":  # what is judged as a default has its field's name, not its key
        keys = {name: field.alias for name, field in model.model_fields.items()}
        mistake = {**mistake, "loc": tuple(keys.get(str(part)) or part for part in mistake["loc"])}
    setting = _path(mistake)
    fields, field = _place(model, mistake)
    if mistake["type"] == "missing":
        return f"  {setting} is not set, but is required.\n    Remedy: {_command(setting, field)}"
    if mistake["type"] == "extra_forbidden":
        closest = difflib.get_close_matches(str(mistake["loc"][-1]), fields, n=1) or [f"one of {', '.join(fields)}"]
        return (
            f"  {setting} is {mistake['input']!r}, but there is no such setting.\n"
            f"    Remedy: use {closest[0]}, and {_config_command('rm', setting)}"
        )
    context = mistake.get("ctx", {})
    rule = context.get("rule") or _RULES.get(mistake["type"], f"be right: {mistake['msg']}").format(**context)
    remedy = context.get("remedy") or _command(setting + _entry(mistake["type"], field), field)
    if mistake["type"] in _COLLECTIONS:  # the CLI sets no entry of what is none
        remedy = f"{shlex.join(['pulumi', 'config', 'rm', '--path', setting])} && {remedy}"
    if context.get("is_secret"):
        return f"  {setting} must {rule}.\n    Remedy: {remedy}"
    return told(setting, mistake["input"], rule, remedy)


def _entry(mistake: str, field: FieldInfo | None) -> str:
    """What leads from a collection's path to that of an entry, for a command that sets one."""
    extra = field.json_schema_extra if field else None
    name = extra.get("entry", "registry") if isinstance(extra, dict) else "registry"
    return {"list_type": "[0]", "too_short": "[0]", "dict_type": entry(str(name))}.get(mistake, "")


def entry(name: str) -> str:
    """What leads from an object's path to its entry `name`, as the CLI takes it: in a name a dot would part it."""
    return f'["{name}"]' if "." in name else f".{name}"


_COLLECTIONS = ("list_type", "dict_type", "model_type")
"""The errors of values that ought to be collections."""


def _path(mistake: ErrorDetails) -> str:
    """The setting's path as `pulumi config set --path` takes it: `users[0]`, `bucket.name`."""
    parts = (f"[{part}]" if isinstance(part, int) else entry(str(part)) for part in mistake["loc"])
    return "".join(parts).removeprefix(".")


def _place(model: type[BaseModel], mistake: ErrorDetails) -> tuple[dict[str, FieldInfo], FieldInfo | None]:
    """The fields, by their configuration keys, of the model in which the mistake is; and the field that has it."""
    fields, field = _fields(model), None
    for part in mistake["loc"]:
        found = fields.get(part) if isinstance(part, str) else None
        if found is None:  # within a list or an object of entries, or misspelt
            break
        field = found
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            fields = _fields(field.annotation)
    return fields, field


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _command(setting: str, field: FieldInfo | None) -> str:
    """The command that sets the setting to its default, or to an example where that is none."""
    assert field  # noqa: S101 (only a misspelt setting has none)
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        key, field = next(iter(_fields(type(default)).items()))
        setting, default = f"{setting}.{key}", field.default
    example = field.examples[0] if field.examples else default
    is_value = isinstance(default, (bool, int)) or (isinstance(default, str) and default)
    return set_command(setting, default if is_value else example)


def set_command(setting: str, value: object) -> str:
    """The command that sets the setting, by its path as in `bucket.name` or `users[0]`, to a number, truth or text."""
    text = value if isinstance(value, str) else json.dumps(value)
    return _config_command("set", setting, text)


def _config_command(verb: str, setting: str, *values: str) -> str:
    path = ["--path"] if re.search(r"[.[]", setting) else []
    return shlex.join(["pulumi", "config", verb, *path, setting, *values])
