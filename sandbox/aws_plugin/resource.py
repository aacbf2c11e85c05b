"""What every resource type is: its declaration, its four operations, and how a change of it is seen."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from pulumi.provider.experimental.provider import PropertyDiffKind

from sandbox.aws_plugin import errors, policies
from sandbox.aws_plugin.schema import Problem, ResourceSchema, is_json_document, resource_schema
from sandbox.aws_plugin.session import Aws
from sandbox.aws_plugin.values import Properties, Unknown, has_unknown, prune

T = TypeVar("T")


@dataclass(frozen=True)
class AutoName:
    """A property that gets a name made of the resource's logical name if the program gives none.

    `longest`: AWS's limit in characters. `lower`: AWS takes lower case only.
    """

    name: str
    longest: int
    lower: bool = False


class Resource(ABC):
    """One resource type. A subclass declares it in class variables; an instance serves one call of the engine.

    In every method, `inputs` are the checked inputs and `state` the properties last known (inputs and outputs), plain,
    by Pulumi's names. The methods raise PluginError (through `doing`) with what AWS answered.
    """

    pulumi_type: ClassVar[str]
    """Pulumi's type, such as `aws:s3/bucket:Bucket`."""
    service: ClassVar[str]
    """boto3's name of the service."""
    auto_name: ClassVar[AutoName | None] = None
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Inputs that the real provider sets when the program doesn't."""
    replaces: ClassVar[frozenset[str]] = frozenset()
    """Inputs whose change makes a new resource (the Terraform provider's ForceNew)."""
    computed: ClassVar[frozenset[str]] = frozenset()
    """Inputs that AWS chooses if the program doesn't give them; taking one away is no change."""
    local: ClassVar[frozenset[str]] = frozenset()
    """Inputs that AWS doesn't keep: they are known from the program only."""
    unsupported: ClassVar[frozenset[str]] = frozenset()
    """Inputs of the real provider that are refused here; nested ones as `rules.blockedEncryptionTypes`."""
    secret_outputs: ClassVar[frozenset[str]] = frozenset()
    absent_outputs: ClassVar[frozenset[str]] = frozenset()
    """Outputs of the real provider that this stand-in never has."""
    derived: ClassVar[Mapping[str, frozenset[str]]] = {}
    """Outputs that aren't known before an update, by the input whose change changes them."""
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The values that the real provider allows for an input, nested ones as `rule.objectOwnership`."""

    def __init__(self, aws: Aws, region: str = "", timeout: float = 0) -> None:
        """`region`: the resource's, else the provider's. `timeout`: seconds, 0 for the type's own (customTimeouts)."""
        self.aws = aws
        self.region = region or aws.region
        self.timeout = timeout
        self.once: Properties = {}
        """Outputs that AWS tells at the creation only; `create` sets them."""

    @classmethod
    def schema(cls) -> ResourceSchema:
        """The inputs and outputs that the SDK knows for this type."""
        return resource_schema(cls.pulumi_type)

    @classmethod
    def name(cls) -> str:
        """The type's name, `Bucket`."""
        return cls.pulumi_type.rsplit(":", maxsplit=1)[-1]

    @property
    def client(self) -> Any:
        """The boto3 client in the resource's region."""
        return self.aws.client(self.service, self.region)

    def doing(self, what: str) -> AbstractContextManager[None]:
        """Errors of AWS within are passed on as "<what>: operation error ..."."""
        return errors.doing(what, self.client.meta.service_model.service_id)

    @abstractmethod
    def create(self, inputs: Properties) -> str:
        """Make the resource and return its id. What `configure` does is not done yet."""

    def configure(self, resource_id: str, inputs: Properties, state: Properties) -> None:
        """Bring what exists from `state` ({} just after `create`) to `inputs`; both, creation and update, end here."""
        return  # most types have nothing to do here

    @abstractmethod
    def read(self, resource_id: str, state: Properties) -> Properties:
        """The outputs as AWS has them now, without `region`, `id` and the `local` ones; `state` is {} at an import.

        Raises GoneError if the resource doesn't exist.
        """

    @abstractmethod
    def delete(self, resource_id: str, state: Properties) -> None:
        """Delete it; already gone is fine."""

    def check(self, inputs: Properties) -> Iterable[Problem]:
        """Rules of the real provider that types can't say; values may be UNKNOWN."""
        return ()

    def normal(self, name: str, value: Any, properties: Properties) -> Any:
        """The form in which the values of the input `name` are compared; `properties` are those it stands among."""
        if is_json_document(self.schema().inputs[name]):
            return policies.canonical(value)
        return prune(value)

    def outputs(self, resource_id: str, state: Properties) -> Properties:
        """All outputs as AWS has them now; raises GoneError."""
        state = {**state, **self.once}
        known = {name: state[name] for name in self.local if name in state}
        found = {"id": resource_id, **known, **self.read(resource_id, state)}
        if "region" in self.schema().inputs:
            found["region"] = self.region
        return {name: value for name, value in found.items() if value is not None}

    def half_made(self, resource_id: str, inputs: Properties) -> Properties:
        """What is known of a resource that was created, but neither configured nor read."""
        region = {"region": self.region} if "region" in self.schema().inputs else {}
        return {**inputs, **region, **self.once, "id": resource_id}

    def all_tags(self, inputs: Properties) -> dict[str, str]:
        """The tags in `inputs` over the provider's default tags."""
        return {**self.aws.default_tags, **(inputs.get("tags") or {})}

    def tag_outputs(self, found: Mapping[str, str], state: Properties) -> Properties:
        """`tags` and `tagsAll` for the tags `found` on the resource: a default tag counts for `tags` only if given."""
        given = state.get("tags") or {}
        own = {key: value for key, value in found.items() if key in given or self.aws.default_tags.get(key) != value}
        return {"tags": own or None, "tagsAll": dict(found)}

    def wait(self, attempt: Callable[[], T | None], seconds: float, interval: float = 1) -> T | None:
        """The first result of `attempt` that is not None, or None after `seconds` (the user's timeout, if set).

        Raises PluginError when the user cancels the update.
        """
        deadline = time.monotonic() + (self.timeout or seconds)
        while True:
            result = attempt()
            if result is not None or time.monotonic() >= deadline:
                return result
            if self.aws.cancelled.wait(interval):
                raise errors.PluginError(f"{self.name()}: cancelled while waiting")


def differences(resource: Resource, state: Properties, inputs: Properties) -> dict[str, PropertyDiffKind]:
    """How `inputs` differ from `state`, by top-level property, as the real provider's plan sees it."""
    found: dict[str, PropertyDiffKind] = {}
    for name in resource.schema().inputs:
        old, new = state.get(name), inputs.get(name)
        if name == "region":
            new = new or resource.aws.region
        if new is None and name in resource.computed:
            continue
        if not has_unknown(new) and resource.normal(name, old, state) == resource.normal(name, new, inputs):
            continue
        replace = name in resource.replaces or name == "region"
        if old is None:
            found[name] = PropertyDiffKind.ADD_REPLACE if replace else PropertyDiffKind.ADD
        elif new is None:
            found[name] = PropertyDiffKind.DELETE_REPLACE if replace else PropertyDiffKind.DELETE
        else:
            found[name] = PropertyDiffKind.UPDATE_REPLACE if replace else PropertyDiffKind.UPDATE
    if "tagsAll" in state and "tags" not in found and resource.all_tags(inputs) != state["tagsAll"]:
        found["tagsAll"] = PropertyDiffKind.UPDATE  # other default tags, or tags changed by someone else
    return found


def choice_problems(resource: type[Resource], inputs: Properties, subject: str) -> Iterable[Problem]:
    """The values in `inputs` that are none of the type's `choices`."""
    for path, allowed in resource.choices.items():
        for value in _at(inputs, path.split(".")):
            if value is not None and not isinstance(value, Unknown) and value not in allowed:
                yield path, f"{subject}: property {path!r} must be one of {', '.join(allowed)}, not {value!r}"


def _at(value: Any, path: list[str]) -> Iterable[Any]:
    """The values at `path` in `value`, through every list."""
    if isinstance(value, list):
        for item in value:
            yield from _at(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict):
        yield from _at(value.get(path[0]), path[1:])
