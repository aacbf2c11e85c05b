"""The node: a stand-in for the kubelet that runs pods' containers as isolated processes on this machine.

`python -m sandbox.node --name NAME --network N --images DIRECTORY`. It is the EC2 instance of the emulated account.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from kubernetes_asyncio import config, watch
from kubernetes_asyncio.client import ApiClient, ApiException, CoreV1Api, V1Pod

from sandbox.layout import DEFAULT_NETWORK, Account, Layout
from sandbox.node import kubelet_api
from sandbox.node.images import Images
from sandbox.node.pod import NodeContext, Pod
from sandbox.node.pod_addresses import PodAddresses
from sandbox.node.pod_container import API_ERRORS, PodContainer, Recorder
from sandbox.node.pod_status import now
from sandbox.node.registration import NodeRegistration, persistently
from sandbox.node.runtime.namespaces import NamespacesForbiddenError, require_user_namespaces

RETRY_SECONDS = 0.5
GONE = 410

log = logging.getLogger(__name__)


class Node:
    """The node and the pods on it."""

    def __init__(self, layout: Layout, account: Account, images: Images, client: ApiClient) -> None:
        """`account` says which EC2 instance it is."""
        self._layout = layout
        self._account = account
        self._images = images
        self._core: Any = CoreV1Api(client)  # Any: its types know models as bodies only, not JSON
        self._registration = NodeRegistration(layout, account, client)
        self._pods: dict[str, tuple[Pod, asyncio.Task[None], V1Pod]] = {}

    async def run(self) -> None:
        """Be the node until cancelled; then its containers are killed and their pods' objects are left as they are."""
        await kubelet_api.KubeletApi(self._layout, self._find_container).start()
        try:
            await persistently("node", self._registration.register)
            service = await persistently("service kubernetes", self._api_service)
            context = NodeContext(
                api=self._core,
                layout=self._layout,
                images=self._images,
                addresses=PodAddresses(self._layout.pod_network),
                host_ip=self._account.private_ip,
                api_address=service.spec.cluster_ip,
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._registration.keep_lease())
                tasks.create_task(self._registration.keep_status())
                tasks.create_task(self._follow_pods(context))
        finally:
            for pod, _, _ in self._pods.values():
                pod.kill()
            running = [task for _, task, _ in self._pods.values()]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _api_service(self) -> Any:
        return await self._core.read_namespaced_service("kubernetes", "default")

    def _find_container(self, namespace: str, name: str, container: str) -> PodContainer | None:
        for pod, _, seen in self._pods.values():
            if (seen.metadata.namespace, seen.metadata.name) == (namespace, name):
                return next((one for one in pod.containers if one.state.name == container), None)
        return None

    async def _follow_pods(self, context: NodeContext) -> None:
        """List and watch the pods bound to this node, for ever, from where the last watch ended where possible."""
        selector = f"spec.nodeName={self._account.private_dns_name}"
        while True:
            try:
                listed = await self._core.list_pod_for_all_namespaces(field_selector=selector)
                present = {pod.metadata.uid for pod in listed.items}
                for uid in self._pods.keys() - present:
                    self._pods[uid][0].removed()
                for pod in listed.items:
                    self._see(context, pod)
                version = listed.metadata.resource_version
                async with watch.Watch() as changes:
                    async for event in changes.stream(
                        self._core.list_pod_for_all_namespaces, field_selector=selector, resource_version=version
                    ):
                        self._notice(context, event)
            except (*API_ERRORS, ValueError) as error:
                if not (isinstance(error, ApiException) and error.status == GONE):
                    log.warning("watch of pods ended: %s", error)
                    await asyncio.sleep(RETRY_SECONDS)

    def _notice(self, context: NodeContext, event: Any) -> None:
        if event["type"] == "DELETED":
            if known := self._pods.get(event["object"].metadata.uid):
                known[0].removed()
        elif event["type"] in ("ADDED", "MODIFIED"):
            self._see(context, event["object"])

    def _see(self, context: NodeContext, pod: V1Pod) -> None:
        """Start a pod that is new, and tell one that is known of its new version."""
        uid = pod.metadata.uid
        if uid in self._pods:
            worker, task, _ = self._pods[uid]
            self._pods[uid] = (worker, task, pod)
            worker.update(pod)
            return
        worker = Pod(context, pod, self._recorder(pod))
        task = asyncio.create_task(worker.run())
        self._pods[uid] = (worker, task, pod)
        task.add_done_callback(lambda done: self._forget(uid, done))

    def _forget(self, uid: str, task: asyncio.Task[None]) -> None:
        _, _, pod = self._pods.pop(uid)
        if not task.cancelled() and (error := task.exception()):
            log.error("pod %s/%s", pod.metadata.namespace, pod.metadata.name, exc_info=error)

    def _recorder(self, pod: V1Pod) -> Recorder:
        meta, host = pod.metadata, self._account.private_dns_name
        regarding = {"apiVersion": "v1", "kind": "Pod", "name": meta.name, "namespace": meta.namespace, "uid": meta.uid}

        async def record(kind: str, reason: str, message: str, container: str | None) -> None:
            path = {"fieldPath": f"spec.containers{{{container}}}"} if container else {}
            time = now()
            event = {
                "metadata": {"generateName": f"{meta.name}.", "namespace": meta.namespace},
                "involvedObject": regarding | path,
                "type": kind,
                "reason": reason,
                "message": message[:1024],
                "source": {"component": "kubelet", "host": host},
                "firstTimestamp": time,
                "lastTimestamp": time,
                "count": 1,
            }
            await self._core.create_namespaced_event(meta.namespace, event)

        return record


async def serve(layout: Layout, images: Images) -> None:
    """Be the node of `layout` until SIGTERM or SIGINT."""
    running = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        if running:
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    layout.pods.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in layout.pods.iterdir():
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
    with contextlib.suppress(asyncio.CancelledError):
        async with await config.new_client_from_config(str(layout.kubeconfig)) as client:
            await Node(layout, Account.load(layout.account_file), images, client).run()


def main() -> None:
    """Run the node; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.node")
    parser.add_argument("--name", default="default", help="the sandbox's name")
    parser.add_argument("--network", type=int, default=DEFAULT_NETWORK, help="N of the sandbox's network 127.N.0.0/16")
    parser.add_argument("--images", type=Path, required=True, help="the directory of the images")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        require_user_namespaces()
    except NamespacesForbiddenError as error:
        sys.exit(f"error: {error}")
    asyncio.run(serve(Layout(arguments.name, arguments.network), Images(arguments.images)))
