"""The containers and pod sandboxes that the kubelet has asked for, from creation to removal."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.node.cri.stubs import api_pb2 as cri
from sandbox.node.images import Image
from sandbox.node.node_network import Attachment
from sandbox.node.pod_network import PodNetwork
from sandbox.node.runtime.cgroups import Cgroup, Cgroups, Resources
from sandbox.node.runtime.container import START_ERROR_EXIT_CODE, Container, ContainerSpec, ContainerStartError
from sandbox.node.runtime.container_log import ContainerLog
from sandbox.node.runtime.memory_limit import MemoryWatch

KILLED = 137
"""The exit code of a container that SIGKILL ended."""
MIB = 2**20
LOG_SECONDS = 2.0
"""How long the output of a container that has ended is still awaited: another process may hold its pipe open."""


def new_id() -> str:
    """Return an id as container runtimes make them: 64 hexadecimal digits."""
    return uuid.uuid4().hex + uuid.uuid4().hex


@dataclass
class PodSandbox:
    """A pod's network and the namespaces that its containers share."""

    config: cri.PodSandboxConfig
    ip: str
    network: PodNetwork
    attachment: Attachment
    id: str = field(default_factory=new_id)
    created_at: int = field(default_factory=time.time_ns)
    is_stopped: bool = False

    @property
    def state(self) -> cri.PodSandboxState:
        """Ready until it is stopped, or its network's process has ended."""
        lives = not self.is_stopped and self.network.process.returncode is None
        return cri.SANDBOX_READY if lives else cri.SANDBOX_NOTREADY


class RuntimeContainer:
    """A container: created, then running, then exited; never started again."""

    def __init__(
        self, sandbox: PodSandbox, config: cri.ContainerConfig, image: Image, spec: ContainerSpec, stage: Path
    ) -> None:
        """`stage` is a path for a directory of its own."""
        self.id = stage.name
        self.sandbox = sandbox
        self.config = config
        self.image = image
        self.state = cri.CONTAINER_CREATED
        self.created_at, self.started_at, self.finished_at = time.time_ns(), 0, 0
        self.exit_code = 0
        self.reason = self.message = ""
        self._spec = spec
        self._stage = stage
        self._running: Container | None = None
        self._starting = asyncio.Lock()
        self._ended = asyncio.Event()
        self._log: ContainerLog | None = None
        self._cgroup: Cgroup | None = None
        self._excess = 0
        self._supervision: asyncio.Task[None] | None = None

    async def start(self, log: Path, cgroups: Cgroups, memory: MemoryWatch) -> None:
        """Start it; what it writes is added to the file `log`.

        `cgroups` keep it to its limits, `memory` does where no cgroup limits it. Raises ContainerStartError.
        """
        resources = self.config.linux.resources
        limits = Resources(resources.cpu_quota, resources.cpu_period, resources.memory_limit_in_bytes)
        async with self._starting:
            if self.sandbox.is_stopped or self.state != cri.CONTAINER_CREATED:
                raise ContainerStartError("its pod sandbox is stopped, or it was started before")
            try:
                self._log = ContainerLog(log)
                self._cgroup = cgroups.make(self.id, limits)
                with self._log.streams() as output:
                    namespaces = self.sandbox.network.namespaces
                    running = await Container.start(self._spec, namespaces, self._stage, output, self._cgroup)
            except (ContainerStartError, OSError) as error:
                await self._remove_cgroup()
                self._end(START_ERROR_EXIT_CODE, "StartError", f"failed to start container: {error}")
                raise ContainerStartError(self.message) from error
            self._running = running
            self.state, self.started_at = cri.CONTAINER_RUNNING, time.time_ns()
            self._supervision = asyncio.create_task(self._supervise(running, self._log))
        if limits.memory and "memory" not in self._cgroup.limits:
            loop = asyncio.get_running_loop()

            def exceeded(used: int) -> None:
                loop.call_soon_threadsafe(self._exceed, used)

            memory.watch(running.pid, limits.memory, exceeded)

    def _exceed(self, used: int) -> None:
        """End it, as it takes more memory than it may: `used` bytes."""
        self._excess = used
        if self._running:
            self._running.kill()

    async def _supervise(self, running: Container, log: ContainerLog) -> None:
        code = await running.wait()
        await asyncio.to_thread(log.wait, LOG_SECONDS)
        limit = self.config.linux.resources.memory_limit_in_bytes // MIB
        ran_out = bool(self._cgroup) and self._cgroup.ran_out_of_memory()
        await self._remove_cgroup()
        if code == KILLED and self._excess:
            self._end(code, "OOMKilled", f"it took {self._excess // MIB} MiB of memory, its limit is {limit} MiB")
        elif code == KILLED and ran_out:
            self._end(code, "OOMKilled", f"it took more memory than its limit of {limit} MiB")
        else:
            self._end(code, "Completed" if code == 0 else "Error")

    async def _remove_cgroup(self) -> None:
        if self._cgroup:
            await asyncio.to_thread(self._cgroup.remove)

    def _end(self, code: int, reason: str, message: str = "") -> None:
        self.exit_code, self.reason, self.message = code, reason, message
        self.state, self.finished_at = cri.CONTAINER_EXITED, time.time_ns()
        self._ended.set()

    async def stop(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds. Returns when it has ended."""
        async with self._starting:
            running = self._running
        if not running:
            return
        if grace > 0 and not self._ended.is_set():
            running.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), grace)
        running.kill()
        await self._ended.wait()

    async def remove(self) -> None:
        """End it and remove what is left of it, but for its log."""
        await self.stop(0)
        self._end(self.exit_code, self.reason, self.message)
        shutil.rmtree(self._stage, ignore_errors=True)

    async def execute(self, command: list[str], timeout: float | None) -> tuple[int, bytes, bytes]:
        """Run a command in it, see `Container.execute`. Raises ContainerStartError, TimeoutError."""
        if not self._running or self._ended.is_set():
            raise ContainerStartError("the container is not running")
        return await self._running.execute(command, timeout)

    def reopen_log(self) -> None:
        """Write on to a new file: the kubelet has moved the former one."""
        if self._log and not self._ended.is_set():
            self._log.reopen()
