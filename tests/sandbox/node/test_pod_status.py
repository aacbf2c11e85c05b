from __future__ import annotations

from typing import Any

import pytest

from sandbox.node.pod_status import ContainerState, phase, pod_status
from tests.sandbox.node.pods import pod

RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
WAITING = {"waiting": {"reason": "ContainerCreating"}}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff"}}
START = "2026-01-01T00:00:00Z"


def ended(code: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": code}}


def container(state: dict[str, Any], **more: Any) -> ContainerState:
    return ContainerState("registry", "registry:3.1.1", state=state, **more)


@pytest.mark.parametrize(
    ("policy", "containers", "expected"),
    [
        ("Always", [container(WAITING)], "Pending"),
        ("Always", [container(RUNNING), container(WAITING)], "Pending"),
        ("Always", [container(RUNNING)], "Running"),
        ("Always", [container(BACK_OFF, last_state=ended(1))], "Running"),
        ("Always", [container(ended(0))], "Running"),
        ("OnFailure", [container(ended(0))], "Succeeded"),
        ("OnFailure", [container(ended(1))], "Running"),
        ("Never", [container(ended(0)), container(ended(0))], "Succeeded"),
        ("Never", [container(ended(0)), container(ended(1))], "Failed"),
        ("Never", [container(ended(0)), container(RUNNING)], "Running"),
    ],
)
def test_the_phase_follows_from_the_containers(policy: str, containers: list[ContainerState], expected: str) -> None:
    assert phase(policy, containers) == expected


def status(
    *containers: ContainerState, previous: dict[str, Any] | None = None, ending: bool = False, pod_ip: str | None = None
) -> dict[str, Any]:
    return pod_status(
        pod(),
        containers,
        host_ip="172.31.0.4",
        pod_ip=pod_ip,
        start_time=START,
        ending=ending,
        previous=previous or {},
    )


def conditions(found: dict[str, Any]) -> dict[str, Any]:
    return {condition["type"]: condition for condition in found["conditions"]}


def test_a_pod_is_ready_when_all_containers_are() -> None:
    one = container(RUNNING, ready=True)
    other = ContainerState("other", "i", state=RUNNING)
    assert conditions(status(one))["Ready"]["status"] == "True"
    ready = conditions(status(one, other))["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert ready["message"] == "containers with unready status: [other]"


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    before = {
        "Ready": {"type": "Ready", "status": "True", "lastTransitionTime": START},
        "ContainersReady": {"type": "ContainersReady", "status": "False", "lastTransitionTime": START},
    }
    found = conditions(status(container(RUNNING, ready=True), previous=before))
    assert found["Ready"]["lastTransitionTime"] == START
    assert found["ContainersReady"]["lastTransitionTime"] > START


def test_a_pod_that_ends_is_not_ready_and_its_phase_is_final() -> None:
    found = status(container(ended(0)), ending=True)
    assert found["phase"] == "Succeeded"
    assert conditions(found)["Ready"]["reason"] == "PodCompleted"


def test_addresses_are_told_as_soon_as_there_are_any() -> None:
    assert "podIP" not in status(container(WAITING))
    found = status(container(WAITING), pod_ip="10.9.1.2")
    assert (found["podIP"], found["podIPs"]) == ("10.9.1.2", [{"ip": "10.9.1.2"}])
    assert (found["hostIP"], found["startTime"]) == ("172.31.0.4", START)


def test_a_containers_status_has_all_that_is_known_of_it() -> None:
    one = container(
        RUNNING, ready=True, started=True, restart_count=2, last_state=ended(137), image_id="i@d", container_id="s://1"
    )
    assert one.status() == {
        "name": "registry",
        "image": "registry:3.1.1",
        "imageID": "i@d",
        "containerID": "s://1",
        "state": RUNNING,
        "lastState": ended(137),
        "ready": True,
        "started": True,
        "restartCount": 2,
    }
