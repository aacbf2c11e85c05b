"""A pod's status, from the state of its containers; pure. The rules are the kubelet's (pkg/kubelet/kubelet_pods.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kubernetes_asyncio.client import V1Pod

CREATING = {"waiting": {"reason": "ContainerCreating"}}


def now() -> str:
    """Return the time of day as Kubernetes writes it: RFC 3339 in UTC, in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class ContainerState:
    """What is known of one container; `state` and `last_state` are ContainerState objects of the API, as JSON."""

    name: str
    image: str
    state: dict[str, Any] = field(default_factory=lambda: dict(CREATING))
    last_state: dict[str, Any] = field(default_factory=dict)
    started: bool = False
    """Whether it runs and its startup probe, if any, has passed."""
    ready: bool = False
    restart_count: int = 0
    image_id: str = ""
    container_id: str = ""

    def status(self) -> dict[str, Any]:
        """Return it as a ContainerStatus."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": self.image_id,
            **({"containerID": self.container_id} if self.container_id else {}),
            "state": self.state,
            "lastState": self.last_state,
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restart_count,
        }


def phase(restart_policy: str, containers: Sequence[ContainerState]) -> str:
    """Return the pod's phase."""
    terminated = [one.state.get("terminated") for one in containers]
    ended = [one for one in terminated if one is not None]
    if any("waiting" in one.state and not one.last_state for one in containers):
        return "Pending"
    if len(ended) < len(containers) or restart_policy == "Always":
        return "Running"
    if all(one["exitCode"] == 0 for one in ended):
        return "Succeeded"
    return "Failed" if restart_policy == "Never" else "Running"


def pod_status(
    pod: V1Pod,
    containers: Sequence[ContainerState],
    *,
    host_ip: str,
    pod_ip: str | None,
    start_time: str,
    ending: bool,
    previous: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a PodStatus as JSON.

    `previous` are the conditions last reported, type -> condition, whose transition times are kept. `ending` says
    that the containers will not be started again, whatever the restart policy.
    """
    current = phase("Never" if ending else pod.spec.restart_policy, containers)
    done = current in ("Succeeded", "Failed")
    unready = [one.name for one in containers if not one.ready]
    not_ready = (
        {"reason": "PodCompleted" if current == "Succeeded" else "PodFailed"}
        if done
        else {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(unready)}]"}
    )
    ready = not unready and not done
    conditions = [
        {"type": "PodReadyToStartContainers", **_truth(bool(pod_ip) and not done)},
        {"type": "Initialized", **_truth(True), **({"reason": "PodCompleted"} if current == "Succeeded" else {})},
        {"type": "Ready", **_truth(ready), **({} if ready else not_ready)},
        {"type": "ContainersReady", **_truth(ready), **({} if ready else not_ready)},
    ]
    for condition in conditions:
        before = previous.get(condition["type"], {})
        same = before.get("status") == condition["status"]
        condition["lastTransitionTime"] = before["lastTransitionTime"] if same else now()
    return {
        "phase": current,
        "conditions": conditions,
        "containerStatuses": [one.status() for one in containers],
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        **({"podIP": pod_ip, "podIPs": [{"ip": pod_ip}]} if pod_ip else {}),
        "startTime": start_time,
    }


def _truth(value: bool) -> dict[str, str]:
    return {"status": "True" if value else "False"}
