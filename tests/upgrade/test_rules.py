"""What an upgrade may do to a resource that is there."""

from __future__ import annotations

import pytest
from pulumi import automation

from tests.end_to_end.operations import Operations, Resource
from tests.upgrade.rules import REPLACED_BY_DESIGN, lost, remark

SERVICE = Resource("kubernetes:core/v1:Service", "registry-service")
SECRET = Resource("kubernetes:core/v1:Secret", "registry-secret")
REPLICATION_CONTROLLER = Resource("kubernetes:core/v1:ReplicationController", "registry-replication-controller")


def event(resource: Resource, operation: str) -> automation.EngineEvent:
    """The engine's announcement of a step."""
    urn = f"urn:pulumi:test::registry::registry:index:Component${resource.type}::{resource.name}"
    metadata = {"op": operation, "urn": urn, "type": resource.type, "provider": ""}
    return automation.EngineEvent.from_json({"sequence": 1, "timestamp": 0, "resourcePreEvent": {"metadata": metadata}})


def operations(*events: automation.EngineEvent) -> Operations:
    noted = Operations()
    for one in events:
        noted.note(one)
    return noted


@pytest.mark.parametrize("operation", ["same", "update", "create", "read"])
def test_what_is_kept_updated_or_new_is_not_lost(operation: str) -> None:
    assert lost({SERVICE: operation}) == []


@pytest.mark.parametrize("operation", ["delete", "replace"])
def test_what_is_deleted_or_replaced_is_lost_and_said_with_its_name_and_type(operation: str) -> None:
    assert lost({SERVICE: operation, SECRET: "update"}) == [
        f"registry-service (kubernetes:core/v1:Service) underwent {operation}: what exists may be updated only"
    ]


@pytest.mark.parametrize("resource", [SECRET, REPLICATION_CONTROLLER])
def test_what_gets_a_successor_by_design_may_be_replaced_which_is_remarked_but_not_deleted(resource: Resource) -> None:
    assert lost({resource: "replace"}) == []
    assert remark(resource, "replace") == REPLACED_BY_DESIGN[resource.type]
    assert remark(resource, "update") == ""
    assert len(lost({resource: "delete"})) == 1


@pytest.mark.parametrize(
    "steps", [["create-replacement", "replace", "delete-replaced"], ["delete-replaced", "replace"]]
)
def test_all_steps_of_a_replacement_are_one_replacement(steps: list[str]) -> None:
    noted = operations(*(event(SERVICE, step) for step in steps))
    assert noted.by_resource == {SERVICE: "replace"}
    assert noted.changes() == {"registry-service": "replace"}


def test_providers_and_the_stack_are_no_resources_and_what_stays_is_no_change() -> None:
    provider = Resource("pulumi:providers:aws", "default_7_0_0")
    stack = Resource("pulumi:pulumi:Stack", "registry-test")
    noted = operations(event(provider, "update"), event(stack, "create"), event(SERVICE, "same"))
    assert noted.by_resource == {SERVICE: "same"}
    assert noted.changes() == {}
