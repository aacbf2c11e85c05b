"""Who makes the load balancer is changed on a living stack, in a cluster that gets the controller meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.lifecycle import Steps, up
from tests.end_to_end.changing import Note, client, go_there_and_back, pulling, pushing
from tests.end_to_end.load_balancers import CLOUD_CONTROLLER, GATES_LABEL, await_answer, balancer
from tests.end_to_end.registry_stack import RegistryStack, Sandbox
from tests.end_to_end.setting_changes import BASE, CLASS_CHANGES, NAME, Change, Surroundings

pytestmark = pytest.mark.changes


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A cluster that has the cloud controller only."""
    with CLOUD_CONTROLLER.running() as running:
        yield running


@pytest.fixture(scope="module")
def stack(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryStack]:
    """A stack of before the controller was installed, which it then is."""
    made = RegistryStack(sandbox, NAME, tmp_path_factory.mktemp("project"))
    sandbox.kubectl("label", "namespace", NAME, GATES_LABEL)
    made.up(**BASE)
    up(sandbox.layout, sandbox.tools, Steps(), load_balancer_controller=True)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def surroundings() -> Surroundings:
    """Nothing: none of the cases names any."""
    return Surroundings(kms_key="", logs="", endpoint="", subnet="", zone_role="", boundary="", oidc_provider="")


def test_a_service_keeps_its_load_balancer_when_the_controller_is_installed(stack: RegistryStack) -> None:
    before = stack.outputs["loadBalancerHostname"]
    assert stack.preview(**BASE) == {}
    user = client(stack)
    user.push("steady", "1", b"of the cloud controller")
    with pulling(user) as pulls, pushing(user) as pushes:
        stack.up(**BASE, tags={"team": "platform"})
    assert (pulls.failures, pushes.failures) == ([], [])
    assert stack.outputs["loadBalancerHostname"] == before
    found = balancer(stack)
    assert found
    assert found.kind == "classic"


@pytest.mark.parametrize("change", CLASS_CHANGES, ids=[" ".join(change.settings) for change in CLASS_CHANGES])
def test_a_change_does_what_the_table_says_and_so_does_the_way_back(
    stack: RegistryStack, surroundings: Surroundings, change: Change, note: Note
) -> None:
    go_there_and_back(stack, change, surroundings, note)
    await_answer(stack)
    found = balancer(stack)
    assert found
    assert found.kind == "network"
