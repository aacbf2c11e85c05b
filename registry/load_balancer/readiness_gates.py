"""Pods that are targets themselves: what a roll of them needs of the namespace, and how long they go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from registry.load_balancer.kinds import Kind
from registry.settings import Settings, told

LABELS = {
    Kind.CONTROLLER: "elbv2.k8s.aws/pod-readiness-gate-inject",
    Kind.AUTO_MODE: "eks.amazonaws.com/pod-readiness-gate-inject",
}
"""The label of a namespace, `enabled`, by which a controller gives new pods a readiness gate, so that they count as
ready from when the load balancer calls them healthy:
kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/pod_readiness_gate/"""

REMOVAL_SECONDS = 150
"""How long an ending pod that is a target takes new requests: users of AWS saw network load balancers send some for up
to two minutes after they had been told (github.com/aws/containers-roadmap/issues/470,
github.com/kubernetes-sigs/aws-load-balancer-controller/issues/2366)."""

REGISTRATION_SECONDS = 300
"""How long a load balancer may take to call a new target healthy: 90 to 180 seconds by the same reports."""


@dataclass(frozen=True)
class Found:
    """What is wrong, or not known, about the namespace."""

    warning: str | None = None
    mistake: str | None = None


def has_pods_as_targets(kind: Kind, settings: Settings) -> bool:
    """Whether the load balancer sends connections to the pods themselves."""
    return kind.service_class is not None and settings.load_balancer.target_type == "ip"


def find(kind: Kind, settings: Settings, labels: Mapping[str, str] | None) -> Found:
    """Look at the labels of the namespace, None if they may not be seen.

    Without the gate all former pods would end before the load balancer has called a new one healthy.
    """
    if not has_pods_as_targets(kind, settings):
        return Found()
    label, namespace = LABELS[kind], settings.namespace
    command = f"kubectl label namespace {namespace} {label}=enabled"
    if labels is None:
        return Found(
            warning=f"whether {namespace} has the label {label} was not looked at, as the cluster denies it; {command}"
        )
    if labels.get(label) == "enabled":
        return Found()
    rule = (
        f"go with the label {label}=enabled of the namespace {namespace}, or each update of the pods cuts clients off"
    )
    return Found(mistake=told("loadBalancer.targetType", "ip", rule, f"{command}; or leave it out"))
