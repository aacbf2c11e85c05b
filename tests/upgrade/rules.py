"""What an upgrade may do to a resource that is there."""

from __future__ import annotations

from collections.abc import Mapping

from tests.end_to_end.operations import REPLACEMENT, Resource

REPLACED_BY_DESIGN = {
    "kubernetes:core/v1:ReplicationController": "it never touches pods that run: another template gets a successor",
    "kubernetes:core/v1:Secret": "immutable: other content is another Secret, and a change of the pods",
}
"""By type, with the reason. A type is added here only where nobody who uses the registry notices."""


def remark(resource: Resource, operation: str) -> str:
    """What a reader should know of an operation; empty if it speaks for itself."""
    return REPLACED_BY_DESIGN.get(resource.type, "") if operation == REPLACEMENT else ""


def lost(operations: Mapping[Resource, str]) -> list[str]:
    """A sentence for each resource that was deleted, or replaced though not by design."""
    return [
        f"{resource.name} ({resource.type}) underwent {operation}: what exists may be updated only"
        for resource, operation in sorted(operations.items())
        if operation == "delete" or (operation == REPLACEMENT and resource.type not in REPLACED_BY_DESIGN)
    ]
