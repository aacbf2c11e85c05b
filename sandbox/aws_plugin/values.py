"""Property values of the engine as plain Python values, and back.

Plain means: None, bool, int, float, str, list, dict, and `UNKNOWN` for what a preview can't know yet. Whether a value
is secret is kept beside it, by the name of the top-level property that it belongs to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from pulumi.provider.experimental.property_value import Computed, PropertyValue
from pulumi.runtime.rpc import UNKNOWN as UNKNOWN_ON_THE_WIRE

Properties = dict[str, Any]
"""Plain values by Pulumi's name of the property (`forceDestroy`)."""


class Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "(known after the update)"


UNKNOWN: Final = Unknown()

_UNKNOWNS: Final = {
    # sdk/go/common/resource/plugin/rpc.go, Unknown*Value: one for each type of the value that is to come.
    UNKNOWN_ON_THE_WIRE,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
}


def plain(value: PropertyValue) -> Any:
    """The plain value of `value`, without its marks of secrecy. Raises TypeError for assets and resource references."""
    inner = value.value
    if isinstance(inner, Computed) or (isinstance(inner, str) and inner in _UNKNOWNS):
        return UNKNOWN
    if isinstance(inner, float):
        return int(inner) if inner.is_integer() else inner
    if inner is None or isinstance(inner, bool | str):
        return inner
    if isinstance(inner, Mapping):
        return {key: plain(item) for key, item in inner.items()}
    if isinstance(inner, Sequence):
        return [plain(item) for item in inner]
    raise TypeError(f"a property can't be a {type(inner).__name__}: no resource type of this stand-in takes one")


def plain_map(values: Mapping[str, PropertyValue]) -> Properties:
    """The plain values of `values`; a null counts as not given."""
    return {key: plain(value) for key, value in values.items() if value.value is not None}


def wrap(value: Any, secret: bool = False) -> PropertyValue:
    """The property value of a plain `value`."""
    if isinstance(value, Unknown):
        return PropertyValue(UNKNOWN_ON_THE_WIRE, secret)
    if isinstance(value, Mapping):
        return PropertyValue({key: wrap(item) for key, item in value.items()}, secret)
    if isinstance(value, list | tuple):
        return PropertyValue([wrap(item) for item in value], secret)
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    return PropertyValue(value, secret)


def wrap_map(values: Properties, secrets: Collection[str] = ()) -> dict[str, PropertyValue]:
    """The property values of `values`, those named in `secrets` marked secret."""
    return {key: wrap(value, key in secrets) for key, value in values.items() if value is not None}


def secret_names(values: Mapping[str, PropertyValue]) -> set[str]:
    """The names of the properties in `values` that are, or contain, a secret."""
    return {key for key, value in values.items() if value.contains_secret()}


def has_unknown(value: Any) -> bool:
    """Whether the plain `value` is, or contains, something that is not known yet."""
    return any(isinstance(leaf, Unknown) for leaf in leaves(value))


def leaves(value: Any) -> Iterator[Any]:
    """Every value in the plain `value` that is no collection."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def prune(value: Any) -> Any:
    """`value` without what equals not being given: null, false, 0, empty text and collections, at every depth.

    Terraform's SDK, on which the real provider stands, does not tell these apart either.
    """
    if isinstance(value, Mapping):
        pruned = {key: prune(item) for key, item in value.items()}
        return {key: item for key, item in pruned.items() if item is not None} or None
    if isinstance(value, list | tuple):
        return [prune(item) for item in value] or None
    return value or None
