"""The Node object: what Kubernetes knows of the node, and the lease that says that it lives."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from kubernetes_asyncio.client import ApiClient, ApiException, CoordinationV1Api, CoreV1Api

from sandbox.layout import AVAILABILITY_ZONE, REGION, Account, Layout
from sandbox.node import kubelet_api
from sandbox.node.pod import CONFLICT
from sandbox.node.pod_container import API_ERRORS
from sandbox.node.pod_files import NOT_FOUND
from sandbox.node.pod_status import now

LEASE_SECONDS = 40
LEASE_RENEWAL = 10.0
"""The kubelet's: a lease is valid for 40 s and renewed every 10 s."""
STATUS_RENEWAL = 300.0
"""Seconds between reports of the node's status that changes nothing: the kubelet's."""
LEASE_NAMESPACE = "kube-node-lease"
MAX_PODS = 110
RETRY_SECONDS = 0.5
STRATEGIC_MERGE = "application/strategic-merge-patch+json"

log = logging.getLogger(__name__)

T = TypeVar("T")


async def persistently(what: str, request: Callable[[], Awaitable[T]]) -> T:
    """Make a request until the API server grants it; failures are logged as about `what`."""
    while True:
        try:
            return await request()
        except API_ERRORS as error:
            log.warning("%s: %s", what, error)
            await asyncio.sleep(RETRY_SECONDS)


class NodeRegistration:
    """Keeps the Node object of the account's EC2 instance."""

    def __init__(self, layout: Layout, account: Account, client: ApiClient) -> None:
        """`account` says which EC2 instance it is."""
        self._layout = layout
        self._account = account
        # Any: their types know models as bodies only, not JSON.
        self._core: Any = CoreV1Api(client)
        self._coordination: Any = CoordinationV1Api(client)

    async def register(self) -> None:
        """Make the Node object, or bring it up to date."""
        name = self._account.private_dns_name
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
            "topology.kubernetes.io/region": REGION,
            "topology.kubernetes.io/zone": AVAILABILITY_ZONE,
        }
        provider = f"aws:///{AVAILABILITY_ZONE}/{self._account.instance_id}"
        body = {"metadata": {"name": name, "labels": labels}, "spec": {"providerID": provider}}
        try:
            await self._core.create_node(body | {"status": self._status()})
        except ApiException as error:
            if error.status != CONFLICT:
                raise
            await self._core.patch_node(name, body, _content_type=STRATEGIC_MERGE)
        log.info("node %s registered", name)

    def _status(self) -> dict[str, Any]:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
        capacity = {"cpu": str(os.cpu_count()), "memory": f"{memory}Ki", "pods": str(MAX_PODS)}
        healthy = {
            "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
            "DiskPressure": ("False", "KubeletHasNoDiskPressure"),
            "PIDPressure": ("False", "KubeletHasSufficientPID"),
            "Ready": ("True", "KubeletReady"),
        }
        return {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                {"type": kind, "status": status, "reason": reason, "lastHeartbeatTime": now()}
                for kind, (status, reason) in healthy.items()
            ],
            "addresses": [
                {"type": "InternalIP", "address": self._account.private_ip},
                {"type": "InternalDNS", "address": self._account.private_dns_name},
                {"type": "Hostname", "address": self._layout.address},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_api.PORT}},
            "nodeInfo": {
                "machineID": self._account.instance_id,
                "systemUUID": self._account.instance_id,
                "bootID": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                "kernelVersion": platform.release(),
                "osImage": "Kubernetes registry sandbox",
                "containerRuntimeVersion": "sandbox://1",
                "kubeletVersion": "v1.34.2",
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": platform.machine(),
            },
        }

    async def keep_status(self) -> None:
        """Report the node's status for ever."""
        while True:
            await persistently("node status", self._write_status)
            await asyncio.sleep(STATUS_RENEWAL)

    async def _write_status(self) -> None:
        status = self._status()
        try:
            node = await self._core.read_node(self._account.private_dns_name)
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise
            return await self.register()
        before = {condition.type: condition for condition in node.status.conditions or []}
        for condition in status["conditions"]:
            old = before.get(condition["type"])
            since = old.last_transition_time if old and old.status == condition["status"] else None
            condition["lastTransitionTime"] = since.isoformat() if since else now()
        patch = {"status": status}
        await self._core.patch_node_status(self._account.private_dns_name, patch, _content_type=STRATEGIC_MERGE)

    async def keep_lease(self) -> None:
        """Renew the node's lease for ever."""
        while True:
            await persistently("lease", self._renew_lease)
            await asyncio.sleep(LEASE_RENEWAL)

    async def _renew_lease(self) -> None:
        name = self._account.private_dns_name
        renewed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": renewed}
        try:
            await self._coordination.patch_namespaced_lease(
                name, LEASE_NAMESPACE, {"spec": spec}, _content_type=STRATEGIC_MERGE
            )
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise
            await self._coordination.create_namespaced_lease(
                LEASE_NAMESPACE, {"metadata": {"name": name}, "spec": spec}
            )
