"""What pods that are targets need of their namespace."""

from __future__ import annotations

import pytest

from registry.load_balancer.kinds import Kind
from registry.load_balancer.readiness_gates import Found, find
from registry.settings import LoadBalancerSettings, Settings

CONTROLLER = "elbv2.k8s.aws/pod-readiness-gate-inject"


def looked(kind: Kind, target_type: str | None, labels: dict[str, str] | None) -> Found:
    balancer = LoadBalancerSettings.model_validate({"targetType": target_type})
    return find(kind, Settings(hostname="registry.example.com", load_balancer=balancer), labels)


@pytest.mark.parametrize(
    ("kind", "label"),
    [(Kind.CONTROLLER, CONTROLLER), (Kind.AUTO_MODE, "eks.amazonaws.com/pod-readiness-gate-inject")],
)
def test_pods_as_targets_need_the_label_of_their_controller(kind: Kind, label: str) -> None:
    assert looked(kind, "ip", {label: "enabled"}) == Found()
    mistake = looked(kind, "ip", {"other": "enabled"}).mistake
    assert mistake and f"Remedy: kubectl label namespace kube-system {label}=enabled" in mistake


def test_a_namespace_that_may_not_be_seen_is_warned_of() -> None:
    found = looked(Kind.CONTROLLER, "ip", None)
    assert found.mistake is None
    assert found.warning and f"whether kube-system has the label {CONTROLLER} was not looked at" in found.warning


@pytest.mark.parametrize(
    ("kind", "target_type"), [(Kind.CONTROLLER, None), (Kind.CONTROLLER, "instance"), (Kind.CLASSIC, "ip")]
)
def test_nodes_as_targets_need_none(kind: Kind, target_type: str | None) -> None:
    assert looked(kind, target_type, {}) == Found()
