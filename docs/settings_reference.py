"""`python -m docs.settings_reference`, by `make docs`: writes what documents say of the settings, from their models.

docs/settings.md has each setting with its type, default, rule, example, and the command that sets it. The README's
table has each with its default and the first sentence of its description.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.settings import Settings
from registry.settings.errors import entry as entry_of
from registry.settings.errors import set_command

CHECKOUT = Path(__file__).parents[1]
REFERENCE, README = CHECKOUT / "docs/settings.md", CHECKOUT / "README.md"
TABLE_BEGINS, TABLE_ENDS = "| key | default | meaning |\n|---|---|---|\n", "\n\n"
ENTRY = "registry"
"""The name of an entry where a setting is an object of them, in examples."""

_INTRODUCTION = """\
# Settings

Made from the models in `registry/settings/` by `make docs`. A setting is set by the command that stands with it, or by
hand in `Pulumi.<stack>.yaml`, below `config:`; a path such as `bucket.name` is `name` below `bucket` there. Keys need
no namespace: Pulumi takes them for the project's, whatever its name. Each command here has been run by a test.

A setting that is not there has its default (`pulumi config rm KEY` takes one away, `pulumi config rm --path PATH` one
inside an object). All mistakes in their values are told together, before anything is created. What Pulumi
judges itself by Pulumi.yaml, a type or the missing hostname, it tells before these, in its own words.
"""

_TYPES = {"boolean": "true or false", "integer": "whole number", "string": "text"}


@dataclass(frozen=True)
class Setting:
    """A setting as documents tell of it; `path` is as in `bucket.name`, `commands` set it to `example`.

    `rules` are sentences. `unset` says what is so where the default is nothing. `children` are those inside it, if it
    is an object of settings.
    """

    path: str
    type: str
    default: Any
    unset: str
    rules: tuple[str, ...]
    example: Any
    commands: tuple[str, ...]
    description: str
    children: tuple[Setting, ...] = ()

    @property
    def meaning(self) -> str:
        """The first sentence of the description."""
        return self.description.split(". ")[0].removesuffix(".")

    @property
    def default_text(self) -> str:
        """The default, as Markdown: code, or words."""
        if self.default in (None, "", [], {}):
            return self.unset
        shown = self.default if isinstance(self.default, str) else json.dumps(self.default).replace('"', "")
        return f"`{shown}`"


def settings() -> list[Setting]:
    """All settings in their order, those inside objects as children of them."""
    schema = Settings.model_json_schema()
    return [*_read(schema, schema["$defs"], "")]


def leaves(found: list[Setting] | tuple[Setting, ...] | None = None) -> list[Setting]:
    """The settings that hold a value."""
    return [leaf for one in (settings() if found is None else found) for leaf in (leaves(one.children) or [one])]


def _read(schema: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[Setting]:
    for key, declared in schema["properties"].items():
        path = prefix + key
        if "$ref" in declared:
            inner = definitions[declared["$ref"].rpartition("/")[2]]
            children = tuple(_read(inner, definitions, f"{path}."))
            yield Setting(path, "object", {}, "", (), None, (), declared["description"], children)
        else:
            yield _leaf(path, declared, is_required=key in schema.get("required", ()))


def _leaf(path: str, declared: dict[str, Any], *, is_required: bool) -> Setting:
    kind = next((one for one in declared.get("anyOf", ()) if one["type"] != "null"), declared)
    default = declared.get("default")
    value = _example(declared, kind)
    if kind["type"] == "array":
        type_, entry, example = "list of text", kind["items"], declared["examples"]
        commands = [set_command(f"{path}[{index}]", one) for index, one in enumerate(example)]
        if default and not kind.get("minItems"):
            emptied = json.dumps({path: {"value": "[]", "objectValue": []}})
            commands.append(f"pulumi config set-all --json '{emptied}'   # nobody: an empty list")
    elif kind["type"] == "object":
        name = declared.get("entry", ENTRY)
        type_, entry, example = "object of text", kind["additionalProperties"], {name: value}
        commands = [set_command(f"{path}{entry_of(name)}", value)]
        path += ".<name>"
    else:
        type_, entry, example, commands = _TYPES[kind["type"]], kind, value, [set_command(path, value)]
    unset = "required" if is_required else _when_unset(declared["description"])
    if default in (None, "", [], {}) and not unset:
        raise ValueError(f"{path} has no default, and its description does not say what is so then: Left out: ...")
    subject = "It" if entry is kind else "Each"
    rules = [
        f"{subject} must {_rule(entry)}." if _rule(entry) else "",
        f"It must have at least {kind['minItems']} entry." if kind.get("minItems") else "",
        f"It must {declared['together']}." if declared.get("together") else "",
    ]
    return Setting(
        path, type_, default, unset, tuple(filter(None, rules)), example, tuple(commands), declared["description"]
    )


def _example(declared: dict[str, Any], kind: dict[str, Any]) -> Any:
    """What is declared; else another value than the default, if there is one."""
    default = declared.get("default")
    if declared.get("examples"):
        return declared["examples"][0]
    if kind["type"] == "boolean":
        return not default
    return next((one for one in kind.get("enum", ()) if one != default), default)


def _when_unset(description: str) -> str:
    found = re.search(r"(?:Empty|Left out): ([^.]*(?:\.[^. ][^.]*)*)\.", description)
    return found[1] if found else ""


def _rule(declared: dict[str, Any]) -> str:
    """What values must do, completing "must ..."."""
    least, most = declared.get("minimum"), declared.get("maximum")
    if least is not None:
        return f"be {least} to {most}" if most is not None else f"be at least {least}"
    choices = declared.get("enum") or [declared["const"]] if {"enum", "const"} & declared.keys() else []
    if choices:
        return f"be {' or '.join(choices)}"
    return declared.get("rule", "")


def reference() -> str:
    """The text of docs/settings.md."""
    return "\n".join([_INTRODUCTION, *(_section(one, "##") for one in settings())])


def _section(setting: Setting, heading: str) -> str:
    lines = [f"{heading} {setting.path}", ""]
    if setting.children:
        lines += [setting.description.partition(":")[0] + ".", ""]
        return "\n".join(lines + [_section(child, "###") for child in setting.children])
    facts = [setting.type, "required" if setting.unset == "required" else f"default: {setting.default_text}"]
    lines += [f"*{'; '.join(facts)}*", "", setting.description, ""]
    if setting.rules:
        lines += [" ".join(setting.rules), ""]
    return "\n".join([*lines, "```", *setting.commands, "```", ""])


def table() -> str:
    """The rows of the README's table."""
    rows = [f"| `{one.path}` | {_short(one.default_text)} | {one.meaning} |" for one in leaves()]
    return "\n".join(rows)


def _short(default: str) -> str:
    return re.sub(r"sha256:[0-9a-f]{64}", "sha256:...", default)


def with_table(readme: str) -> str:
    """The README's text, with its table of settings as it is now."""
    before, _, rest = readme.partition(TABLE_BEGINS)
    _, _, after = rest.partition(TABLE_ENDS)
    return f"{before}{TABLE_BEGINS}{table()}{TABLE_ENDS}{after}"


if __name__ == "__main__":
    REFERENCE.write_text(reference())
    README.write_text(with_table(README.read_text()))
