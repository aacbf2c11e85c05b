"""What pulumi-aws takes and gives, read from its Python SDK, and the check of a program's properties against it.

The SDK is generated from the real provider's schema: its `Args` classes carry the inputs with Pulumi's names and types,
its `State` classes the outputs, its functions their arguments and its result classes their results.
"""

from __future__ import annotations

import collections.abc
import difflib
import importlib
import inspect
import threading
import typing
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

import pulumi
from pulumi import _types

from sandbox.aws_plugin.values import Properties, Unknown

Problem = tuple[str, str]
"""The path of a property (`rules[0].status`) and what is wrong with it."""

_WORDS = {str: "a string", bool: "a boolean", int: "an integer", float: "a number", list: "a list", dict: "an object"}


@dataclass(frozen=True)
class ResourceSchema:
    """The inputs (name to type), the required ones among them, and all the outputs of one resource type."""

    inputs: dict[str, Any]
    required: frozenset[str]
    outputs: frozenset[str]


@dataclass(frozen=True)
class FunctionSchema:
    """The names of a function's arguments and of its results."""

    arguments: frozenset[str]
    results: frozenset[str]


# The SDK's modules load at their first use, which is not safe from several threads at once.
_LOADING = threading.RLock()


@cache
def resource_schema(token: str) -> ResourceSchema:
    """The schema of the resource type `token`, such as `aws:s3/bucket:Bucket`."""
    package, name = _module_and_name(token)
    with _LOADING:
        module = inspect.getmodule(getattr(package, name))
    # Where `<name>Args` is a nested type of another resource, the SDK calls the resource's own `<name>InitArgs`.
    arguments = getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")
    state = getattr(module, f"_{name}State")
    inputs, required = _properties_of(arguments)
    return ResourceSchema(inputs, required, frozenset(_types.input_type_types(state)))


@cache
def function_schema(token: str) -> FunctionSchema:
    """The schema of the function `token`, such as `aws:route53/getZone:getZone`."""
    package, name = _module_and_name(token)
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    with _LOADING:
        function = getattr(package, snake)
    result = getattr(package, name[0].upper() + name[1:] + "Result")
    arguments = [argument for argument in inspect.signature(function).parameters if argument != "opts"]
    return FunctionSchema(
        frozenset(_camel(argument) for argument in arguments), frozenset(_types.output_type_types(result))
    )


def check_properties(
    inputs: Properties, schema: ResourceSchema, unsupported: Collection[str], subject: str
) -> list[Problem]:
    """What is wrong with `inputs` by `schema`; `subject` names the resource in the messages.

    `unsupported` are the paths, without indices, that the real provider knows and the stand-in doesn't.
    """
    walk = _Walk(subject, frozenset(unsupported))
    return list(walk.members(inputs, schema.inputs, schema.required, ""))


@dataclass(frozen=True)
class _Walk:
    subject: str
    unsupported: frozenset[str]

    def members(
        self, values: Properties, known: dict[str, Any], required: frozenset[str], at: str
    ) -> Iterator[Problem]:
        """The problems of an object at the path `at`, of which `known` gives the members' types."""
        supported = sorted(name for name in known if _without_indices(_join(at, name)) not in self.unsupported)
        for name in sorted(required - values.keys()):
            yield _join(at, name), f"{self._of(at, name)} is required and missing; known are {', '.join(supported)}"
        for name, value in values.items():
            path = _join(at, name)
            if name not in known:
                near = difflib.get_close_matches(name, supported, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                yield path, f"{self._of(at, name)} is unknown{hint} Known are {', '.join(supported)}"
            elif name not in supported:
                yield (
                    path,
                    f"{self._of(at, name)} is one of pulumi-aws that the sandbox's stand-in does not implement; "
                    f"it implements {', '.join(supported)}",
                )
            else:
                yield from self.value(value, known[name], path)

    def value(self, value: Any, kind: Any, path: str) -> Iterator[Problem]:
        """The problems of `value`, of the type `kind`, at `path`."""
        if value is None or isinstance(value, Unknown):
            return
        kind = _types.unwrap_type(kind)
        if kind is Any:
            return
        if typing.get_origin(kind) is typing.Union:
            yield from self._alternatives(value, kind, path)
        elif not _is_of(value, kind):
            yield path, f"{self.subject}: property {path!r} must be {_words(kind)}, not a {type(value).__name__}"
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.value(item, typing.get_args(kind)[0], f"{path}[{index}]")
        elif _types.is_input_type(kind):
            yield from self.members(value, *_properties_of(kind), path)
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from self.value(item, typing.get_args(kind)[1], f"{path}[{key!r}]")

    def _alternatives(self, value: Any, kind: Any, path: str) -> Iterator[Problem]:
        """A union: of a text and an enum, the enum's values; else any of its members."""
        plumbing = (type(None), pulumi.Output, collections.abc.Awaitable)
        members = [member for member in typing.get_args(kind) if (typing.get_origin(member) or member) not in plumbing]
        members = [_types.unwrap_type(member) for member in members]
        enums = [member for member in members if isinstance(member, type) and issubclass(member, Enum)]
        problems = [list(self.value(value, member, path)) for member in enums or members]
        if all(problems):
            yield from problems[0]

    def _of(self, at: str, name: str) -> str:
        return f"{self.subject}: property {_join(at, name)!r}"


def is_json_document(kind: Any) -> bool:
    """Whether an input of the type `kind` takes a JSON document as a text or as an object (a policy)."""
    members = typing.get_args(_types.unwrap_type(kind))
    return str in members and any(getattr(member, "__name__", "") == "PolicyDocumentArgs" for member in members)


def nested(kind: Any) -> dict[str, Any]:
    """The members (name to type) of the object type `kind`, or of the objects in a list of them; else empty."""
    kind = _types.unwrap_type(kind)
    if typing.get_origin(kind) in (list, collections.abc.Sequence):
        return nested(typing.get_args(kind)[0])
    return _properties_of(kind)[0] if _types.is_input_type(kind) else {}


@cache
def _properties_of(arguments: type) -> tuple[dict[str, Any], frozenset[str]]:
    """The types by Pulumi's name, and the required names, of an SDK `Args` class."""
    names = _types.input_type_py_to_pulumi_names(arguments)
    parameters = inspect.signature(arguments.__init__).parameters
    required = {names[key] for key, given in parameters.items() if key in names and given.default is given.empty}
    return _types.input_type_types(arguments), frozenset(required)


def _module_and_name(token: str) -> tuple[Any, str]:
    """The SDK module and the name in it of a token `aws:<module>/<file>:<Name>`; module `index` is the SDK's root."""
    _, module, name = token.split(":")
    module = module.split("/", maxsplit=1)[0]
    return importlib.import_module("pulumi_aws" if module == "index" else f"pulumi_aws.{module}"), name


def _python_type(kind: Any) -> type:
    """The Python type of plain values of the SDK's type `kind`, which is no union."""
    origin = typing.get_origin(kind)
    if origin in (list, collections.abc.Sequence):
        return list
    if origin in (dict, collections.abc.Mapping) or _types.is_input_type(kind):
        return dict
    return kind


def _is_of(value: Any, kind: Any) -> bool:
    """Whether the plain `value` is, at its top, of the SDK's type `kind`."""
    wanted = _python_type(kind)
    if issubclass(wanted, Enum):
        return value in [member.value for member in wanted]
    if wanted in (int, float):
        return isinstance(value, int | wanted) and not isinstance(value, bool)
    return isinstance(value, wanted)


def _words(kind: Any) -> str:
    """What a message calls the SDK's type `kind`."""
    wanted = _python_type(kind)
    if issubclass(wanted, Enum):
        return f"one of {', '.join(str(member.value) for member in wanted)}"
    return _WORDS[wanted]


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _without_indices(path: str) -> str:
    return ".".join(part.split("[", maxsplit=1)[0] for part in path.split("."))


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
