"""Pods that still act by a former access key or role, or reach S3 at a former port, which must outlive them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from registry import cluster
from registry.environment import ENDPOINT_VARIABLE, s3_port, variables_of
from registry.pod import termination_grace_period_seconds
from registry.pod_credentials import id_of


class FormerPodsError(pulumi.RunError):
    """Pods of before do not end. The message names them, and the remedy."""


async def await_end(
    namespace: str, labels: Mapping[str, str], credentials: str, port: int, removal_seconds: int
) -> None:
    """Return when no pod with these labels has other `credentials` than these, the `id` of PodCredentials, or reaches
    S3 at another `port`.

    They are awaited as long as one may take to end, and again; `removal_seconds` as of `pod_spec`.

    Pulumi deletes a former key, role or NetworkPolicy when the program has ended. A Deployment counts as updated when
    its new pods are ready, but those that end still serve; and of an `up` that failed any may be left, which the next
    one does not update. Pods of a controller that goes, as a ReplicationController does at each change, are not
    awaited: it is deleted before what its pods need, and its pods before it (the provider deletes in the foreground).
    Raises FormerPodsError if some stay, ClusterError if it cannot be seen: then what they need stays as well.
    """
    deadline = time.monotonic() + 2 * termination_grace_period_seconds(removal_seconds)
    waits = False
    while former := former_pods(await asyncio.to_thread(cluster.pods, namespace, labels), credentials, port):
        if time.monotonic() > deadline:
            raise FormerPodsError(
                f"these pods still have a former access key, role or port of S3, and it is kept: {', '.join(former)}.\n"
                f"    Remedy: kubectl describe pods --namespace {namespace} {' '.join(former)} tells what keeps them\n"
                "    from ending; then run pulumi up again"
            )
        if not waits:
            pulumi.log.info(f"waiting for pods that have a former access key, role or port of S3: {', '.join(former)}")
            waits = True
        await asyncio.sleep(1)


def former_pods(pods: Sequence[Mapping[str, Any]], credentials: str, port: int) -> list[str]:
    """Return the names of a Deployment's pods that have not ended and have other credentials or another port of S3.

    `pods` are as the API server gives them.
    """
    return [
        pod["metadata"]["name"]
        for pod in pods
        if "ReplicaSet" in [owner["kind"] for owner in pod["metadata"].get("ownerReferences", [])]
        and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and (found := id_of(pod)) is not None
        and (found, s3_port(variables_of(pod).get(ENDPOINT_VARIABLE, {}).get("value"))) != (credentials, port)
    ]
