"""One pod on the node, from the moment it is bound to it until its object is deleted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from dataclasses import dataclass
from typing import Any, Protocol

from kubernetes_asyncio.client import ApiException, V1Pod

from sandbox.layout import Layout
from sandbox.node.images import Images
from sandbox.node.pod_container import API_ERRORS, CONFIG_RETRY, PodContainer, PodContext, Recorder
from sandbox.node.pod_files import NOT_FOUND, PodFiles
from sandbox.node.pod_network import Address, PodNetwork, PodNetworkError
from sandbox.node.pod_status import ContainerState, now, pod_status
from sandbox.node.pod_support import unsupported
from sandbox.node.volumes import VolumeError

CONFLICT = 409
API_RETRY = 0.5
"""Seconds until a request is made again after the API server was away."""
VOLUME_REFRESH = 5.0
"""Seconds between looks for changes of Secrets and ConfigMaps in volumes (the kubelet takes up to about 90)."""
KUBERNETES_PORT = 443
KILLED = 137

log = logging.getLogger(__name__)


class Addresses(Protocol):
    """Gives pods their addresses."""

    def take(self) -> str:
        """Return a free address."""
        ...

    def release(self, address: str) -> None:
        """Take it back."""
        ...


@dataclass(frozen=True)
class NodeContext:
    """What the pods of a node share."""

    api: Any
    """A CoreV1Api, whose types know models as bodies only, not JSON."""
    layout: Layout
    images: Images
    addresses: Addresses
    host_ip: str
    api_address: str
    """The cluster IP of the Service `kubernetes`."""


class Pod:
    """A pod bound to the node."""

    def __init__(self, node: NodeContext, pod: V1Pod, record: Recorder) -> None:
        """`record` records events of this pod."""
        self._node = node
        self._pod = pod
        self._record = record
        self._json: dict[str, Any] = node.api.api_client.sanitize_for_serialization(pod)
        self._status: dict[str, Any] = self._json.get("status", {})
        self._start_time: str = self._status.get("startTime") or now()
        self._pod_ip: str | None = None
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._grace = 0.0
        self._directory = node.layout.pods / pod.metadata.uid
        self.containers: list[PodContainer] = []
        self.states = [self._state_of(container) for container in self._json["spec"]["containers"]]
        self.update(pod)

    def update(self, pod: V1Pod) -> None:
        """Take notice of a newer version of the pod."""
        self._pod = pod
        pod.status.host_ip = self._node.host_ip
        if self._pod_ip:
            pod.status.pod_ip = self._pod_ip
        if pod.metadata.deletion_timestamp:
            self._end(pod.metadata.deletion_grace_period_seconds or 0)

    def removed(self) -> None:
        """The pod's object is gone (deleted by force): what still runs is stopped at short notice."""
        self._end(1)

    def kill(self) -> None:
        """End its processes at once; its object stays as it is."""
        for container in self.containers:
            container.kill()

    def _end(self, grace: float) -> None:
        if self._ending.is_set() and grace < self._grace:  # deleted again, with less grace
            asyncio.get_running_loop().call_later(grace, self.kill)
        self._grace = grace
        self._ending.set()

    async def run(self) -> None:
        """Run the pod until it has been deleted."""
        reporter = asyncio.create_task(self._report())
        try:
            if not self._ending.is_set() and self._status.get("phase") not in ("Succeeded", "Failed"):
                if problems := unsupported(self._json["spec"]):
                    await self._refuse(problems)
                else:
                    await self._live_on()
            await self._ending.wait()
        finally:
            reporter.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reporter
        await self._delete()
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _refuse(self, problems: list[str]) -> None:
        text = f"the sandbox's node can't honour: {'; '.join(problems)}"
        for state in self.states:
            state.state = {"waiting": {"reason": "CreateContainerConfigError", "message": text}}
        self._changed.set()
        await self._event("Warning", "Failed", f"Error: {text}")

    async def _live_on(self) -> None:
        """Live, again from the start if the pod's network is lost."""
        alive = True
        while alive and not self._ending.is_set():
            alive = False
            try:
                await self._live()
            except* PodNetworkError:
                alive = True
                await self._event("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
                for state, spec in zip(self.states, self._json["spec"]["containers"], strict=True):
                    vars(state).update(vars(self._state_of(spec)))

    async def _live(self) -> None:
        """Have network and containers, until all containers have ended for good."""
        self._changed.set()
        self._pod_ip = self._node.addresses.take()
        self.update(self._pod)
        try:
            network = await self._open_network(self._pod_ip)
            if not network:
                return
            self._changed.set()
            try:
                await self._run_containers(network, self._pod_ip)
            finally:
                self.kill()
                await network.close()
        finally:
            self._node.addresses.release(self._pod_ip)

    async def _open_network(self, pod_ip: str) -> PodNetwork | None:
        """Make the pod's network, trying until it can be had; None if the pod ends before."""
        layout, spec = self._node.layout, self._pod.spec
        outer = layout.loopback_of(pod_ip)
        ports = {port.container_port for container in spec.containers for port in container.ports or []}
        here: list[Address] = [(layout.address, port) for port in (4566, 4567, 6443)]
        while not self._ending.is_set():
            try:
                return await PodNetwork.open(
                    hostname=spec.hostname or self._pod.metadata.name,
                    addresses=[pod_ip, self._node.api_address],
                    ports={(outer, port): (pod_ip, port) for port in sorted(ports)},
                    egress={one: one for one in here} | {(self._node.api_address, KUBERNETES_PORT): here[-1]},
                )
            except PodNetworkError as error:
                message = f"Failed to create pod sandbox: {error}"
                for state in self.states:
                    state.state = {"waiting": {"reason": "ContainerCreating", "message": message}}
                self._changed.set()
                await self._event("Warning", "FailedCreatePodSandBox", message)
                await self._pause(CONFIG_RETRY)
        return None

    async def _run_containers(self, network: PodNetwork, pod_ip: str) -> None:
        node = self._node
        files = PodFiles(node.api, self._pod, self._directory)
        context = PodContext(
            pod=self._pod,
            pod_ip=pod_ip,
            network=network,
            files=files,
            images=node.images,
            authorities=node.layout.authority_certificate,
            directory=self._directory,
            logs=node.layout.pods,
            record=self._record,
            changed=self._changed.set,
        )
        self.containers = [
            PodContainer(context, spec, state)
            for spec, state in zip(self._pod.spec.containers, self.states, strict=True)
        ]
        async with asyncio.TaskGroup() as tasks:
            helpers = [
                tasks.create_task(self._stop_in_the_end()),
                tasks.create_task(self._refresh(files)),
                tasks.create_task(self._notice_lost_network(network)),
            ]
            await asyncio.wait([tasks.create_task(container.run()) for container in self.containers])
            for helper in helpers:
                helper.cancel()

    async def _stop_in_the_end(self) -> None:
        await self._ending.wait()
        await asyncio.gather(*(container.stop(self._grace) for container in self.containers))

    async def _notice_lost_network(self, network: PodNetwork) -> None:
        await network.process.wait()
        raise PodNetworkError("the process of the pod's network has ended")

    async def _refresh(self, files: PodFiles) -> None:
        while True:
            await asyncio.sleep(VOLUME_REFRESH)
            files.pod = self._pod
            with contextlib.suppress(VolumeError, *API_ERRORS):  # the next look may find it
                await files.refresh()

    async def _report(self) -> None:
        """Write the pod's status whenever it has changed."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                if not await self._write_status():
                    return
            except API_ERRORS as error:
                log.warning("pod %s: status not written: %s", self._pod.metadata.name, error)
                await asyncio.sleep(API_RETRY)
                self._changed.set()

    async def _write_status(self) -> bool:
        """Write the status if it is not as written; False if the pod's object is gone."""
        status = pod_status(
            self._pod,
            self.states,
            host_ip=self._node.host_ip,
            pod_ip=self._pod_ip,
            start_time=self._start_time,
            ending=self._ending.is_set(),
            previous={condition["type"]: condition for condition in self._status.get("conditions", [])},
        )
        if status == self._status:
            return True
        meta = self._pod.metadata
        # In a strategic merge patch, what is not named stays: reasons of conditions, and addresses in lists.
        patch = status | {"conditions": [{"reason": None, "message": None} | one for one in status["conditions"]]}
        for name in ("podIPs", "hostIPs"):
            patch[name] = [{"$patch": "replace"}, *status.get(name, [])]
        body = {"metadata": {"uid": meta.uid}, "status": patch}
        try:
            await self._node.api.patch_namespaced_pod_status(
                meta.name, meta.namespace, body, _content_type="application/strategic-merge-patch+json"
            )
        except ApiException as error:
            if error.status in (NOT_FOUND, CONFLICT):
                return False
            raise
        self._status = status
        return True

    async def _delete(self) -> None:
        """Write the last status and delete the pod's object, as the kubelet does when all has ended."""
        meta = self._pod.metadata
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta.uid}}
        while True:
            try:
                if await self._write_status():
                    await self._node.api.delete_namespaced_pod(meta.name, meta.namespace, body=body)
                return
            except ApiException as error:
                if error.status in (NOT_FOUND, CONFLICT):
                    return
                log.warning("pod %s: not deleted: %s", meta.name, error.reason)
            except API_ERRORS as error:
                log.warning("pod %s: not deleted: %s", meta.name, error)
            await asyncio.sleep(API_RETRY)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    async def _event(self, kind: str, reason: str, message: str) -> None:
        with contextlib.suppress(*API_ERRORS):
            await self._record(kind, reason, message, None)

    def _state_of(self, container: dict[str, Any]) -> ContainerState:
        """Return the state to start from: after a restart of the node, what ran before counts as killed."""
        state = ContainerState(container["name"], container["image"])
        for before in self._status.get("containerStatuses", []):
            if before["name"] != state.name:
                continue
            state.restart_count, state.last_state = before["restartCount"], before.get("lastState", {})
            if running := before["state"].get("running"):
                ended = {"exitCode": KILLED, "reason": "Error", "startedAt": running["startedAt"], "finishedAt": now()}
                state.last_state = {"terminated": ended}
            if self._status.get("phase") in ("Succeeded", "Failed"):
                state.state, state.restart_count = before["state"], before["restartCount"]
        return state
