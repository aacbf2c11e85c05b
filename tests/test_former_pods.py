"""Pods that still act by a former access key or role, or reach S3 at a former port, which must outlive them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from registry.former_pods import FormerPodsError, await_end, former_pods

LABELS = {"k8s-app": "kube-registry"}


def pod(name: str, secret: str | None, phase: str = "Running", controller: str = "ReplicaSet") -> dict[str, Any]:
    reference = {"secretKeyRef": {"name": secret, "key": "accessKey"}}
    env = [{"name": "REGISTRY_STORAGE_S3_ACCESSKEY", "valueFrom": reference}] if secret else []
    metadata = {"name": name, "ownerReferences": [{"kind": controller}]}
    return {"metadata": metadata, "spec": {"containers": [{"env": env}]}, "status": {"phase": phase}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that passes by sleeping only, in its last element."""
    times = [0.0]

    async def sleep(seconds: float) -> None:
        times.append(times[-1] + seconds)

    monkeypatch.setattr("registry.former_pods.asyncio.sleep", sleep)
    monkeypatch.setattr("registry.former_pods.time.monotonic", lambda: times[-1])
    return times


def test_the_former_access_key_outlives_the_pods_that_have_it(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    told: list[str] = []
    monkeypatch.setattr("pulumi.log.info", told.append)
    new, old = pod("new", "the new"), pod("old", "the former")
    answers = [[new, old], [new, old], [new, pod("old", "the former", "Failed"), pod("stranger", None)]]
    monkeypatch.setattr("registry.cluster.pods", lambda namespace, labels: answers.pop(0))
    asyncio.run(await_end("kube-system", LABELS, "the new", 443, 5))
    assert answers == []
    assert told == ["waiting for pods that have a former access key, role or port of S3: old"]
    assert clock[-1] == 2


def test_a_pod_with_the_former_access_key_that_does_not_end_keeps_the_key_and_is_named(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    monkeypatch.setattr("pulumi.log.info", lambda _: None)
    monkeypatch.setattr("registry.cluster.pods", lambda namespace, labels: [pod("old", "the former")])
    with pytest.raises(
        FormerPodsError, match="these pods still have a former access key, role or port of S3, and it is kept: old"
    ):
        asyncio.run(await_end("kube-system", LABELS, "the new", 443, 5))
    assert 140 <= clock[-1] <= 142


def test_pods_that_act_as_a_former_role_are_awaited_too() -> None:
    def acting_as(role: str) -> dict[str, Any]:
        made = pod(role, None)
        made["metadata"]["annotations"] = {"kube-registry/role-arn": role}
        return made

    pods = [acting_as("former"), acting_as("new"), pod("of the user", "key")]
    assert former_pods(pods, "new", 443) == ["former", "of the user"]


def test_pods_that_go_with_their_controller_before_the_key_are_not_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    former = pod("old", "the former", controller="ReplicationController")
    monkeypatch.setattr("registry.cluster.pods", lambda namespace, labels: [former])
    asyncio.run(await_end("kube-system", LABELS, "the new", 443, 5))


def test_pods_that_reach_s3_at_another_port_are_awaited_as_their_network_policy_goes_with_the_update() -> None:
    def reaching(endpoint: str) -> dict[str, Any]:
        made = pod(endpoint, "key")
        made["spec"]["containers"][0]["env"].append({"name": "REGISTRY_STORAGE_S3_REGIONENDPOINT", "value": endpoint})
        return made

    plain, other, same = "http://s3.example.com", "https://s3.example.com:9000", "https://s3.example.com"
    pods = [pod("of AWS", "key"), *(reaching(one) for one in (plain, other, same))]
    assert former_pods(pods, "key", 443) == [plain, other]
    assert former_pods(pods, "key", 80) == ["of AWS", other, same]
