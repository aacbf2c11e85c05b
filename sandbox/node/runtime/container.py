"""The container runtime: one container's process, isolated with Linux namespaces, from start to exit.

Each container has mount and PID namespaces of its own, the pod's network, IPC and UTS namespaces, the image's files
below a layer of its own that lives in memory, and the user of its pod spec in a user namespace without privileges.
`container_init.py` is what runs inside.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.node.runtime.cgroups import Cgroup

CAPABILITIES = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8,
    "NET_BIND_SERVICE": 10, "NET_RAW": 13, "SYS_CHROOT": 18, "MKNOD": 27, "AUDIT_WRITE": 29, "SETFCAP": 31,
}  # fmt: skip
"""What a container runtime leaves to a container by default, with the numbers of <linux/capability.h>."""
LAST_CAPABILITY = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
LONGEST_OUTPUT = 2**20
"""Bytes that are kept of what a command in a container writes."""
START_ERROR_EXIT_CODE = 128
"""The exit code that container runtimes give a container whose command could not be executed."""


class ContainerStartError(Exception):
    """The container's command could not be executed; says why as a runtime would."""


@dataclass(frozen=True)
class Mount:
    """`source` (file or directory on the host) at the absolute path `target` in the container."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True)
class ContainerSpec:
    """Everything that a container is started with."""

    image: Path
    """The image's root filesystem."""
    argv: list[str]
    environment: dict[str, str]
    hostname: str
    pod_ip: str
    name_resolution: str = ""
    """The content of /etc/resolv.conf."""
    directory: str = "/"
    """Working directory."""
    uid: int = 0
    gid: int = 0
    read_only: bool = False
    """Whether the root filesystem may not be written."""
    no_new_privileges: bool = False
    capabilities: frozenset[str] = frozenset(CAPABILITIES)
    mounts: list[Mount] = field(default_factory=list)


class Container:
    """A running container."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        pid: int,
        spec: ContainerSpec,
        namespaces: list[int],
        cgroup: Cgroup | None,
    ) -> None:
        """Use `start`."""
        self._process = process
        self.pid = pid
        """Of its first process, as the host sees it."""
        self._spec = spec
        self._namespaces = namespaces
        self._cgroup = cgroup

    @classmethod
    async def start(
        cls,
        spec: ContainerSpec,
        namespaces: list[int],
        stage: Path,
        output: tuple[int, int],
        cgroup: Cgroup | None = None,
    ) -> Container:
        """Start a container in the pod's `namespaces` (file descriptors of `PodNetwork`).

        `stage` is an empty directory on which its root filesystem is mounted (seen by nobody else); `output` are the
        file descriptors to which its standard output and error go; its processes join `cgroup`, if it has one. Raises
        ContainerStartError.
        """
        stage.mkdir(parents=True, exist_ok=True)
        # Only root may write where the image has files, and every file here belongs to the one user that is mapped:
        # a container that isn't root gets the same result from a read-only file system with a writable /tmp.
        writable = not spec.read_only and spec.uid == 0
        launch = _identity(spec, cgroup) | {
            "stage": str(stage),
            "image": str(spec.image),
            "hostname": spec.hostname,
            "pod_ip": spec.pod_ip,
            "name_resolution": spec.name_resolution,
            "uid": spec.uid,
            "gid": spec.gid,
            "read_only": not writable,
            "writable_tmp": not writable and not spec.read_only,
            "mounts": [{"source": str(m.source), "target": m.target, "read_only": m.read_only} for m in spec.mounts],
            "namespaces": namespaces,
            "argv": spec.argv,
        }
        process, pid = await _launch(launch, namespaces, output)
        return cls(process, pid, spec, namespaces, cgroup)

    async def wait(self) -> int:
        """Return the exit code of its first process, 128 + n if signal n ended it."""
        code = await self._process.wait()
        return code if code >= 0 else 128 - code

    def terminate(self) -> None:
        """Send SIGTERM to its first process."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End all of its processes at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def execute(self, argv: list[str], timeout: float | None = None) -> tuple[int, bytes, bytes]:
        """Run a command in the container; return its exit code, and the first MiB of its output and of its errors.

        Raises ContainerStartError, TimeoutError after `timeout` seconds.
        """
        names = ("mnt", "pid", "user")
        launch = _identity(self._spec, self._cgroup) | {
            "enter": [f"/proc/{self.pid}/ns/{name}" for name in names],
            "namespaces": self._namespaces,
            "argv": argv,
        }
        pipes = [os.pipe(), os.pipe()]
        try:
            process, _ = await _launch(launch, self._namespaces, (pipes[0][1], pipes[1][1]))
        except ContainerStartError:
            for reading, _ in pipes:
                os.close(reading)
            raise
        finally:
            for _, writing in pipes:
                os.close(writing)
        outputs = [asyncio.create_task(asyncio.to_thread(_read_all, reading, LONGEST_OUTPUT)) for reading, _ in pipes]
        try:
            code = await asyncio.wait_for(process.wait(), timeout)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        output, errors = await asyncio.gather(*outputs)
        return code, output, errors


def _identity(spec: ContainerSpec, cgroup: Cgroup | None) -> dict[str, Any]:
    keep = {CAPABILITIES[name] for name in spec.capabilities}
    return {
        "parent": os.getpid(),
        "cgroup_processes": [str(file) for file in cgroup.processes] if cgroup else [],
        "environment": spec.environment,
        "directory": spec.directory,
        "no_new_privileges": spec.no_new_privileges,
        "drop_capabilities": [number for number in range(LAST_CAPABILITY + 1) if number not in keep],
    }


async def _launch(
    launch: dict[str, Any], namespaces: list[int], output: tuple[int, int]
) -> tuple[asyncio.subprocess.Process, int]:
    """Start `container_init`; return it and the process id of what it executed. Raises ContainerStartError."""
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sandbox.node.runtime.container_init", str(writing),
            stdin=asyncio.subprocess.PIPE, stdout=output[0], stderr=output[1], pass_fds=[writing, *namespaces],
            start_new_session=True, cwd=Path(__file__).parents[3],
        )  # fmt: skip
    finally:
        os.close(writing)
    if process.stdin:  # it is: a pipe was asked for
        process.stdin.write(json.dumps(launch).encode())
        process.stdin.close()
    lines = [json.loads(line) for line in (await asyncio.to_thread(_read_all, reading)).splitlines()]
    result = {key: value for line in lines for key, value in line.items()}
    if "error" in result or "pid" not in result:
        await process.wait()
        raise ContainerStartError(result.get("error", "the container's process could not be made; see its log"))
    return process, result["pid"]


def _read_all(fd: int, most: int = -1) -> bytes:
    """Read to the end, and return the first `most` bytes, or all."""
    with os.fdopen(fd, "rb") as file:
        kept = file.read(most)
        while file.read(LONGEST_OUTPUT):
            pass
        return kept
