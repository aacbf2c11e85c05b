"""Pods for tests, as the API server gives them to the node."""

from __future__ import annotations

from typing import Any

from kubernetes_asyncio.client import ApiClient, Configuration, V1Pod

UID = "0f5d3a34-6a2b-4b7e-8b8e-5a3f3f0a7c11"


class _Response:
    def __init__(self, data: str) -> None:
        self.data = data


def api_object(body: dict[str, Any], kind: str) -> Any:
    """Return a model object of `kind` from its JSON."""
    client = ApiClient.__new__(ApiClient)
    client.configuration = Configuration()
    return client._ApiClient__deserialize(body, kind)  # type: ignore[attr-defined]


def pod(container: dict[str, Any] | None = None, **spec: Any) -> V1Pod:
    """Return a pod `web` of namespace `shop` with one container `registry`; `spec` adds to its spec."""
    body = {
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": UID,
            "labels": {"app": "web", "tier": "front"},
            "annotations": {"example.test/note": "hello"},
        },
        "spec": {
            "containers": [{"name": "registry", "image": "registry:3.1.1"} | (container or {})],
            "nodeName": "node-1",
            "serviceAccountName": "robot",
            "restartPolicy": "Always",
        }
        | spec,
        "status": {"podIP": "10.9.1.2", "hostIP": "172.31.0.4"},
    }
    return api_object(body, "V1Pod")
