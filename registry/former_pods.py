"""Pods that still have a former access key, which must outlive them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from registry import cluster
from registry.environment import ACCESS_KEY_VARIABLES
from registry.pod import termination_grace_period_seconds


class FormerPodsError(pulumi.RunError):
    """Pods with a former access key do not end. The message names them, and the remedy."""


async def await_end(namespace: str, labels: Mapping[str, str], secret_name: str, removal_seconds: int) -> None:
    """Return when no pod with these labels has the access key of another Secret than this one.

    They are awaited as long as one may take to end, and again; `removal_seconds` as of `pod_spec`.

    Pulumi deletes a former key when the program has ended. A Deployment counts as updated when its new pods are ready,
    but those that end still serve; and of an `up` that failed any may be left, which the next one does not update.
    Pods of a controller that goes, as a ReplicationController does at each change, are not awaited: it is deleted
    before the key is, and its pods before it (the provider deletes in the foreground).
    Raises FormerPodsError if some stay, ClusterError if it cannot be seen: then the key stays as well.
    """
    deadline = time.monotonic() + 2 * termination_grace_period_seconds(removal_seconds)
    waits = False
    while former := former_pods(await asyncio.to_thread(cluster.pods, namespace, labels), secret_name):
        if time.monotonic() > deadline:
            raise FormerPodsError(
                f"these pods still have a former access key, which is kept therefore: {', '.join(former)}.\n"
                f"    Remedy: kubectl describe pods --namespace {namespace} {' '.join(former)} tells what keeps them\n"
                "    from ending; then run pulumi up again"
            )
        if not waits:
            pulumi.log.info(f"waiting for the pods that have a former access key: {', '.join(former)}")
            waits = True
        await asyncio.sleep(1)


def former_pods(pods: Sequence[Mapping[str, Any]], secret_name: str) -> list[str]:
    """Return the names of a Deployment's pods that have not ended and have another access key.

    `pods` are as the API server gives them.
    """
    return [
        pod["metadata"]["name"]
        for pod in pods
        if "ReplicaSet" in [owner["kind"] for owner in pod["metadata"].get("ownerReferences", [])]
        and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and access_key_secret_name(pod["spec"]) not in (None, secret_name)
    ]


def access_key_secret_name(pod: Mapping[str, Any]) -> str | None:
    """Return the name of the Secret from which a pod of this spec takes the access key, if it does."""
    references = {
        variable["name"]: variable["valueFrom"]["secretKeyRef"]["name"]
        for container in pod["containers"]
        for variable in container.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    }
    return next((references[variable] for variable in ACCESS_KEY_VARIABLES if variable in references), None)
