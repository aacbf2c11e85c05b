"""A living stack that is changed under a client that pulls and pushes all the time, without a single retry."""

from __future__ import annotations

from collections.abc import Callable

from tests.end_to_end.load_balancers import await_answer
from tests.end_to_end.load_balancers import client as primary_client
from tests.end_to_end.registry_client import RegistryClient, Repeatedly
from tests.end_to_end.registry_stack import RegistryStack
from tests.end_to_end.setting_changes import BASE, Change, Surroundings

INTERVAL_SECONDS = 0.2
"""Between the begins of two pulls, and of two pushes, as far as the machine allows."""
Note = Callable[[str, str, Repeatedly, Repeatedly], None]
"""Keeps what a change, and the way there or back, did to those who pulled and pushed."""


def client(stack: RegistryStack, hostname: str = "") -> RegistryClient:
    """A client of today's, for another name of the registry if one is given."""
    made = primary_client(stack)
    made.url = made.url.replace(stack.outputs["hostname"], hostname or stack.outputs["hostname"])
    return made


def pulling(client: RegistryClient) -> Repeatedly:
    return Repeatedly(lambda: client.pull("steady", "1"), INTERVAL_SECONDS)


def pushing(client: RegistryClient) -> Repeatedly:
    return Repeatedly(lambda: client.push("moving", "1", b"again and again"), INTERVAL_SECONDS)


def go_there_and_back(stack: RegistryStack, change: Change, surroundings: Surroundings, note: Note) -> None:
    """Make a change and undo it: each does what the table says, and fails a request only where it may."""
    base = BASE | dict(change.base)
    if stack.deployed != base:
        stack.up(**base)
        stack.settled_pods()
        await_answer(stack)
    changed = base | change.there(surroundings)
    by = f", identity: {changed['identity']}" if "identity" in changed else ""
    for way, settings, expected in (
        ("there", changed, dict(change.operations)),
        ("back", base, change.on_the_way_back),
    ):
        user = client(stack)
        digest = user.push("steady", "1", f"before the way {way}".encode())
        if replaced := {name for name, operation in expected.items() if operation == "replace"}:
            # The API server tries what is to be made anew over what there is: a preview may fail where `up` does not.
            assert replaced <= stack.preview(**settings).keys()
        with pulling(user) as pulls, pushing(user) as pushes:
            stack.up(**settings)
            if change.outage:
                await_answer(stack)
        note(", ".join(change.settings) + by, way, pulls, pushes)
        assert stack.operations.changes() == expected
        if not change.outage:
            assert (pulls.failures, pushes.failures) == ([], [])
        assert (pulls.count > 1, pushes.count > 1) == (True, True)
        assert client(stack).pull("steady", "1") == digest
