"""Policies, pods and namespaces as the API server gives them."""

from __future__ import annotations

from typing import Any

from sandbox.node.network_policy.decisions import ClusterState
from sandbox.node.network_policy.rules import Rules


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name} | labels}}


def pod(name: str, address: str | None, *, space: str = "shop", labels: dict[str, str] | None = None) -> dict[str, Any]:
    """A pod with the ports `http` 8080 by TCP, `dns` 53 by UDP, and in a sidecar `metrics` 9100."""
    sidecar = {"restartPolicy": "Always", "ports": [{"name": "metrics", "containerPort": 9100, "protocol": "TCP"}]}
    once = {"ports": [{"name": "http", "containerPort": 1}]}
    ports = [{"name": "http", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]
    return {
        "metadata": {"namespace": space, "name": name, "uid": f"uid-{name}", "labels": labels or {"app": name}},
        "spec": {"containers": [{"ports": ports}, {}], "initContainers": [sidecar, once]},
        "status": {"phase": "Running"} | ({"podIP": address} if address else {}),
    }


def policy(name: str = "p", *, space: str = "shop", **spec: Any) -> dict[str, Any]:
    """A policy for the pods of app `web`, unless `spec` says otherwise."""
    selector = {"podSelector": {"matchLabels": {"app": "web"}}}
    return {"metadata": {"namespace": space, "name": name}, "spec": selector | spec}


WEB, DB, OTHER_WEB, CLIENT = "10.9.1.1", "10.9.1.2", "10.9.2.1", "10.9.2.2"
OUTSIDE = "192.0.2.7"
NAMESPACES = [namespace("shop", team="a"), namespace("lab", team="b")]
PODS = [
    pod("web", WEB),
    pod("db", DB),
    pod("web-too", OTHER_WEB, space="lab", labels={"app": "web"}),
    pod("client", CLIENT, space="lab"),
]


def rules(*policies: dict[str, Any], of: int = 0, pods: list[dict[str, Any]] | None = None) -> Rules:
    """What `policies` say of a pod, by default the first, `web` in `shop`."""
    pods = pods or PODS
    return ClusterState(policies, pods, NAMESPACES).rules_of(pods[of])
