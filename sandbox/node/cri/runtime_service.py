"""RuntimeService of the CRI: pod sandboxes on `pod_network`, containers on `runtime`.

The methods are documented in the CRI's `api.proto`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import grpc

from sandbox.layout import Layout
from sandbox.node import outside
from sandbox.node.cri import messages
from sandbox.node.cri.answers import abort, to_its_end
from sandbox.node.cri.container_spec import NoCommandError, container_spec
from sandbox.node.cri.containers import PodSandbox, RuntimeContainer, new_id
from sandbox.node.cri.refusals import refusal, refused_of_container, refused_of_pod
from sandbox.node.cri.stubs import api_pb2 as cri
from sandbox.node.cri.stubs import api_pb2_grpc
from sandbox.node.directories import NodeDirectories
from sandbox.node.image_user import UnknownUserError
from sandbox.node.images import Image, ImageNotFoundError
from sandbox.node.network_policy.enforcement import Attached, Enforcement
from sandbox.node.node_network import NodeNetwork
from sandbox.node.pod_addresses import PodAddresses
from sandbox.node.pod_network import PodNetwork, PodNetworkError
from sandbox.node.runtime.cgroups import Cgroups
from sandbox.node.runtime.container import ContainerStartError
from sandbox.node.runtime.memory_limit import MemoryWatch

CONDITIONS = ("RuntimeReady", "NetworkReady")
NOT_HERE = (
    "is not in this sandbox: `kubectl logs` shows what a container writes, docs/sandbox.md says what else there is"
)


@dataclass(frozen=True)
class Node:
    """What the pods of a node share."""

    layout: Layout
    directories: NodeDirectories
    network: NodeNetwork
    find_image: Callable[[str], Image]
    """Returns an image by its id or name. Raises ImageNotFoundError."""
    enforcement: Enforcement
    """Of NetworkPolicies."""


class RuntimeService(api_pb2_grpc.RuntimeServiceServicer):
    """The containers of one node."""

    def __init__(self, node: Node) -> None:
        """`node` is what they share."""
        self._node = node
        self._cgroups = Cgroups.of_this_process(node.directories.stages)
        self._cgroups.tidy()
        self._memory = MemoryWatch()
        self._addresses = PodAddresses(node.layout.pod_network)
        self._sandboxes: dict[str, PodSandbox] = {}
        self._containers: dict[str, RuntimeContainer] = {}

    async def shut_down(self) -> None:
        """End all containers, then their networks."""
        await asyncio.gather(*(self._stop_sandbox(sandbox) for sandbox in self._sandboxes.values()))
        self._cgroups.tidy()

    async def Version(self, request: cri.VersionRequest, context: Any) -> cri.VersionResponse:
        return cri.VersionResponse(
            version="0.1.0", runtime_name="sandbox", runtime_version="1.0.0", runtime_api_version="v1"
        )

    async def Status(self, request: cri.StatusRequest, context: Any) -> cri.StatusResponse:
        conditions = [cri.RuntimeCondition(type=kind, status=True) for kind in CONDITIONS]
        return cri.StatusResponse(status=cri.RuntimeStatus(conditions=conditions))

    async def RuntimeConfig(self, request: cri.RuntimeConfigRequest, context: Any) -> cri.RuntimeConfigResponse:
        return cri.RuntimeConfigResponse(linux=cri.LinuxRuntimeConfiguration(cgroup_driver=cri.CGROUPFS))

    async def UpdateRuntimeConfig(
        self, request: cri.UpdateRuntimeConfigRequest, context: Any
    ) -> cri.UpdateRuntimeConfigResponse:
        return cri.UpdateRuntimeConfigResponse()

    @to_its_end
    async def RunPodSandbox(self, request: cri.RunPodSandboxRequest, context: Any) -> cri.RunPodSandboxResponse:
        config = request.config
        if reasons := refused_of_pod(config):
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, refusal(reasons))
        layout, ip = self._node.layout, self._addresses.take()
        outer = layout.loopback_of(ip)
        ports = sorted({port.container_port for port in config.port_mappings})
        try:
            network = await PodNetwork.open(
                hostname=config.hostname,
                addresses=[ip, *outside.ADDRESSES],
                ports={(outer, port): (ip, port) for port in ports},
                egress=outside.egress(layout),
                name_service=outside.NAME_SERVICE,
            )
            try:
                attachment = await self._node.network.attach(ip, network, ports)
            except OSError:
                await network.close()
                raise
        except (PodNetworkError, OSError) as error:
            self._addresses.release(ip)
            await abort(context, grpc.StatusCode.UNKNOWN, str(error))
        attached = Attached(config.metadata.uid, ip, tuple(ports), attachment.neighbours)
        await self._node.enforcement.attach(attached, network)
        sandbox = PodSandbox(config, ip, network, attachment)
        self._sandboxes[sandbox.id] = sandbox
        if config.log_directory:
            self._node.directories.outside(config.log_directory).mkdir(parents=True, exist_ok=True)
        return cri.RunPodSandboxResponse(pod_sandbox_id=sandbox.id)

    @to_its_end
    async def StopPodSandbox(self, request: cri.StopPodSandboxRequest, context: Any) -> cri.StopPodSandboxResponse:
        if sandbox := self._sandboxes.get(request.pod_sandbox_id):
            await self._stop_sandbox(sandbox)
        return cri.StopPodSandboxResponse()

    async def _stop_sandbox(self, sandbox: PodSandbox) -> None:
        stopped, sandbox.is_stopped = sandbox.is_stopped, True
        await asyncio.gather(*(one.stop(0) for one in self._containers.values() if one.sandbox is sandbox))
        if not stopped:
            self._node.enforcement.detach(sandbox.network)
            sandbox.attachment.close()
            await sandbox.network.close()
            self._addresses.release(sandbox.ip)

    @to_its_end
    async def RemovePodSandbox(
        self, request: cri.RemovePodSandboxRequest, context: Any
    ) -> cri.RemovePodSandboxResponse:
        if sandbox := self._sandboxes.get(request.pod_sandbox_id):
            await self._stop_sandbox(sandbox)
            for container in [one for one in self._containers.values() if one.sandbox is sandbox]:
                await container.remove()
                self._containers.pop(container.id, None)
            self._sandboxes.pop(sandbox.id, None)
        return cri.RemovePodSandboxResponse()

    async def PodSandboxStatus(
        self, request: cri.PodSandboxStatusRequest, context: Any
    ) -> cri.PodSandboxStatusResponse:
        sandbox = self._sandboxes.get(request.pod_sandbox_id) or await _not_found(context, request.pod_sandbox_id)
        return cri.PodSandboxStatusResponse(status=messages.sandbox_status(sandbox))

    async def ListPodSandbox(self, request: cri.ListPodSandboxRequest, context: Any) -> cri.ListPodSandboxResponse:
        found = [one for one in self._sandboxes.values() if messages.is_sandbox_asked_for(one, request.filter)]
        return cri.ListPodSandboxResponse(items=[messages.listed_sandbox(one) for one in found])

    async def CreateContainer(self, request: cri.CreateContainerRequest, context: Any) -> cri.CreateContainerResponse:
        node, config = self._node, request.config
        sandbox = self._sandboxes.get(request.pod_sandbox_id) or await _not_found(context, request.pod_sandbox_id)
        if reasons := refused_of_container(config, sandbox.config.metadata.uid, node.directories):
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, refusal(reasons))
        try:
            image = node.find_image(config.image.image)
            spec = container_spec(
                sandbox.config,
                sandbox.ip,
                config,
                image,
                directories=node.directories,
                authorities=node.layout.authority_certificate,
            )
        except (ImageNotFoundError, UnknownUserError, NoCommandError) as error:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        container = RuntimeContainer(sandbox, config, image, spec, node.directories.stages / new_id())
        self._containers[container.id] = container
        return cri.CreateContainerResponse(container_id=container.id)

    @to_its_end
    async def StartContainer(self, request: cri.StartContainerRequest, context: Any) -> cri.StartContainerResponse:
        container = self._containers.get(request.container_id) or await _not_found(context, request.container_id)
        try:
            await container.start(self._log_of(container), self._cgroups, self._memory)
        except ContainerStartError as error:
            await abort(context, grpc.StatusCode.UNKNOWN, str(error))
        return cri.StartContainerResponse()

    def _log_of(self, container: RuntimeContainer) -> Path:
        return self._node.directories.outside(messages.log_path(container))

    @to_its_end
    async def StopContainer(self, request: cri.StopContainerRequest, context: Any) -> cri.StopContainerResponse:
        if container := self._containers.get(request.container_id):
            await container.stop(request.timeout)
        return cri.StopContainerResponse()

    @to_its_end
    async def RemoveContainer(self, request: cri.RemoveContainerRequest, context: Any) -> cri.RemoveContainerResponse:
        if container := self._containers.get(request.container_id):
            await container.remove()
            self._containers.pop(container.id, None)
        return cri.RemoveContainerResponse()

    async def ListContainers(self, request: cri.ListContainersRequest, context: Any) -> cri.ListContainersResponse:
        found = [one for one in self._containers.values() if messages.is_container_asked_for(one, request.filter)]
        return cri.ListContainersResponse(containers=[messages.listed_container(one) for one in found])

    async def ContainerStatus(self, request: cri.ContainerStatusRequest, context: Any) -> cri.ContainerStatusResponse:
        container = self._containers.get(request.container_id) or await _not_found(context, request.container_id)
        return cri.ContainerStatusResponse(status=messages.container_status(container))

    async def ReopenContainerLog(
        self, request: cri.ReopenContainerLogRequest, context: Any
    ) -> cri.ReopenContainerLogResponse:
        container = self._containers.get(request.container_id) or await _not_found(context, request.container_id)
        container.reopen_log()
        return cri.ReopenContainerLogResponse()

    async def ExecSync(self, request: cri.ExecSyncRequest, context: Any) -> cri.ExecSyncResponse:
        container = self._containers.get(request.container_id) or await _not_found(context, request.container_id)
        try:
            code, output, errors = await container.execute(list(request.cmd), request.timeout or None)
        except TimeoutError:
            text = f"command timed out: timeout {request.timeout}s exceeded"
            await abort(context, grpc.StatusCode.DEADLINE_EXCEEDED, text)
        except ContainerStartError as error:
            await abort(context, grpc.StatusCode.UNKNOWN, f"failed to exec in container: {error}")
        return cri.ExecSyncResponse(stdout=output, stderr=errors, exit_code=code)

    async def Exec(self, request: cri.ExecRequest, context: Any) -> NoReturn:
        await abort(context, grpc.StatusCode.UNIMPLEMENTED, f"kubectl exec {NOT_HERE}")

    async def Attach(self, request: cri.AttachRequest, context: Any) -> NoReturn:
        await abort(context, grpc.StatusCode.UNIMPLEMENTED, f"kubectl attach {NOT_HERE}")

    async def PortForward(self, request: cri.PortForwardRequest, context: Any) -> NoReturn:
        await abort(context, grpc.StatusCode.UNIMPLEMENTED, f"kubectl port-forward {NOT_HERE}")

    async def UpdateContainerResources(self, request: cri.UpdateContainerResourcesRequest, context: Any) -> NoReturn:
        await abort(context, grpc.StatusCode.UNIMPLEMENTED, "resizing a running container is not in this sandbox")

    async def ListContainerStats(
        self, request: cri.ListContainerStatsRequest, context: Any
    ) -> cri.ListContainerStatsResponse:
        return cri.ListContainerStatsResponse()


async def _not_found(context: Any, what: str) -> NoReturn:
    await abort(context, grpc.StatusCode.NOT_FOUND, f"{what} is not on this node")
