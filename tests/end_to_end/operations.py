"""What an update does to each resource, told by the engine's events."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pulumi import automation

_DIGEST = re.compile(r"(?<=-identity)-[0-9a-f]{8}$")
CHANGES_NOTHING = {"same", "read"}
NO_RESOURCES = ("pulumi:providers:", "pulumi:pulumi:")
"""What the types of providers and of the stack itself begin with."""
REPLACEMENT = "replace"
"""What all steps of a replacement are called here: the engine makes the successor, says so, deletes the former."""


@dataclass(frozen=True, order=True)
class Resource:
    """A resource of a stack. The type is Pulumi's, the name is the program's."""

    type: str
    name: str


class Operations:
    """Takes the events of one update or preview, and has the operation of each resource: `same`, `update`, ...

    Providers and the stack itself are left out.
    """

    def __init__(self) -> None:
        self.by_resource: dict[Resource, str] = {}

    @classmethod
    def read(cls, log: Path) -> Self:
        """The operations of an update whose events the CLI wrote to `log`, in JSON, one a line."""
        operations = cls()
        for line in log.read_text().splitlines():
            operations.note(automation.EngineEvent.from_json(json.loads(line)))
        return operations

    def note(self, event: automation.EngineEvent) -> None:
        """Take an event; those that tell of no resource are skipped."""
        metadata = event.resource_pre_event.metadata if event.resource_pre_event else None
        if metadata and not metadata.type.startswith(NO_RESOURCES):
            resource = Resource(metadata.type, metadata.urn.rpartition("::")[2])
            operation = str(metadata.op.value)
            self.by_resource[resource] = REPLACEMENT if REPLACEMENT in operation else operation

    def changes(self) -> dict[str, str]:
        """The operations that change something, by the resource's name, without the digest of whom a role trusts."""
        return {
            _DIGEST.sub("", resource.name): operation
            for resource, operation in self.by_resource.items()
            if operation not in CHANGES_NOTHING
        }
