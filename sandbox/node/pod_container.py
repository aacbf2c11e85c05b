"""One container of a pod over its restarts: started, probed, restarted, stopped, by the kubelet's rules."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from kubernetes_asyncio.client import ApiException, V1Container, V1Pod, V1Probe

from sandbox.node import probes
from sandbox.node.image_user import home
from sandbox.node.images import CA_BUNDLE, ImageNotFoundError, Images, InvalidImageNameError
from sandbox.node.pod_environment import ContainerConfigError, command, environment, kept_capabilities, user
from sandbox.node.pod_files import PodFiles
from sandbox.node.pod_network import PodNetwork
from sandbox.node.pod_status import CREATING, ContainerState, now
from sandbox.node.runtime.container import START_ERROR_EXIT_CODE, Container, ContainerSpec, ContainerStartError, Mount
from sandbox.node.volumes import VolumeError

FIRST_BACK_OFF, LONGEST_BACK_OFF = 10.0, 300.0
"""Seconds between restarts: the kubelet's, doubled each time after the first restart, which comes at once."""
BACK_OFF_FORGOTTEN = 2 * LONGEST_BACK_OFF
"""Seconds that a container must have run for its next failure to be a first one."""
CONFIG_RETRY = 2.0
"""Seconds until a container that could not be created is tried again (the kubelet takes about 10)."""
LEAST_GRACE = 2.0
"""Seconds that a process gets after SIGTERM even when the preStop hook took all of the grace period."""
API_ERRORS = (ApiException, aiohttp.ClientError, OSError)
"""What a request to the API server raises when it refuses or is away."""

Recorder = Callable[[str, str, str, str | None], Awaitable[None]]
"""Records an event of the pod: type, reason, message, container name."""


@dataclass(frozen=True)
class PodContext:
    """What the containers of a pod share."""

    pod: V1Pod
    pod_ip: str
    network: PodNetwork
    files: PodFiles
    images: Images
    authorities: Path
    """The certificates that the containers trust, mounted over their image's."""
    directory: Path
    logs: Path
    record: Recorder
    changed: Callable[[], None]
    """Called after each change of a container's state."""


class PodContainer:
    """A container of a pod; `state` is what its status says."""

    def __init__(self, context: PodContext, spec: V1Container, state: ContainerState) -> None:
        """`state` starts as given (restarts counted so far) and is kept current."""
        self._context = context
        self._spec = spec
        self.state = state
        meta = context.pod.metadata
        self.log = context.logs / f"{meta.namespace}_{meta.name}_{spec.name}.log"
        self.log_starts: list[int] = []
        """Where in the log each run of the container begins, in bytes."""
        self._running: Container | None = None
        self._stop = asyncio.Event()
        self._starting = asyncio.Lock()
        self._started_at = ""

    async def run(self) -> None:
        """Keep the container running as the pod's restart policy says; return when it is not to run again."""
        failures = pulls = 0
        while not self._stopping:
            began = time.monotonic()
            try:
                container = await self._start()
            except (InvalidImageNameError, ImageNotFoundError) as error:
                await self._await_image(error, pulls)
                pulls += 1
                continue
            except (ContainerConfigError, VolumeError, *API_ERRORS) as error:
                await self._await_configuration(error)
                continue
            except ContainerStartError as error:
                self._ended(START_ERROR_EXIT_CODE, "StartError", str(error))
                await self._record("Warning", "Failed", f"Error: {error}")
            else:
                if not container:
                    return
                code = await self._supervise(container)
                self._ended(code, "Completed" if code == 0 else "Error")
            if not self._restarts():
                return
            failures = 1 if time.monotonic() - began > BACK_OFF_FORGOTTEN else failures + 1
            await self._back_off(failures)

    async def stop(self, grace: float) -> None:
        """Stop for good: preStop hook, SIGTERM, after `grace` seconds in all SIGKILL. Returns when it has ended."""
        self._stop.set()
        async with self._starting:
            container = self._running
        if container:
            await self._record("Normal", "Killing", f"Stopping container {self._spec.name}")
            await self._end(container, grace)

    def kill(self) -> None:
        """End its processes at once."""
        self._stop.set()
        if self._running:
            self._running.kill()

    @property
    def _stopping(self) -> bool:
        return self._stop.is_set()

    def _restarts(self) -> bool:
        policy = self._context.pod.spec.restart_policy
        code = self.state.state["terminated"]["exitCode"]
        return not self._stopping and (policy == "Always" or (policy == "OnFailure" and code != 0))

    async def _start(self) -> Container | None:
        """Create and start the container; None if it is being stopped. Raises whatever keeps it from starting."""
        context, spec = self._context, self._spec
        image = context.images.find(spec.image)
        self.state.image_id = image.image_id
        objects = await context.files.objects()
        uid, gid = user(context.pod, spec, image.config)
        variables = environment(context.pod, spec, image.config, objects, home(image.rootfs, uid))
        mounts = await context.files.mounts(spec, objects, uid, gid)
        security = spec.security_context
        container_spec = ContainerSpec(
            image=image.rootfs,
            argv=command(spec, image.config, variables),
            environment=variables,
            hostname=context.pod.spec.hostname or context.pod.metadata.name,
            pod_ip=context.pod_ip,
            directory=spec.working_dir or "/",
            uid=uid,
            gid=gid,
            read_only=bool(security and security.read_only_root_filesystem),
            no_new_privileges=bool(security and security.allow_privilege_escalation is False),
            capabilities=kept_capabilities(spec),
            mounts=[Mount(context.authorities, CA_BUNDLE, read_only=True), *mounts],
        )
        async with self._starting:
            if self._stopping:
                return None
            log = os.open(self.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            try:
                self.log_starts.append(os.fstat(log).st_size)
                stage = context.directory / "stages" / spec.name
                container = await Container.start(container_spec, context.network.namespaces, stage, log)
            finally:
                os.close(log)
            self._running = container
        if self.state.last_state:
            self.state.restart_count += 1
        self._started_at = now()
        self.state.container_id = f"sandbox://{uuid.uuid4().hex}"
        self.state.started = not spec.startup_probe
        self.state.ready = self.state.started and not spec.readiness_probe
        self._set({"running": {"startedAt": self._started_at}})
        await self._record("Normal", "Started", f"Started container {spec.name}")
        return container

    async def _supervise(self, container: Container) -> int:
        """Probe the running container until it ends; return its exit code."""
        context = self._context
        target = probes.Target(self._spec, container, context.network, context.pod_ip)
        unhealthy: asyncio.Future[tuple[str, V1Probe]] = asyncio.get_running_loop().create_future()
        ended = asyncio.create_task(container.wait())
        probing = asyncio.create_task(self._probe(target, unhealthy))
        try:
            await asyncio.wait({ended, unhealthy}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done() and not self._stopping:
                kind, probe = unhealthy.result()
                text = f"Container {self._spec.name} failed {kind} probe, will be restarted"
                await self._record("Normal", "Killing", text)
                own, grace = probe.termination_grace_period_seconds, context.pod.spec.termination_grace_period_seconds
                await self._end(container, grace if own is None else own)
            return await ended
        finally:
            self._running = None
            probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await probing

    async def _probe(self, target: probes.Target, unhealthy: asyncio.Future[tuple[str, V1Probe]]) -> None:
        """Run the startup probe, then readiness and liveness; `unhealthy` is settled when a restart is due."""
        spec = self._spec

        def failed(kind: str) -> Callable[[str], Awaitable[None]]:
            return lambda reason: self._record("Warning", "Unhealthy", f"{kind} probe failed: {reason}")

        def set_ready(passing: bool) -> None:
            self.state.ready = passing
            self._context.changed()

        def set_alive(kind: str, probe: V1Probe) -> Callable[[bool], None]:
            def changed(passing: bool) -> None:
                if not passing and not unhealthy.done():
                    unhealthy.set_result((kind, probe))

            return changed

        if probe := spec.startup_probe:
            started, alive = asyncio.Event(), set_alive("startup", probe)

            def startup(passing: bool) -> None:
                started.set() if passing else alive(passing)

            watching = probes.watch(probe, target, passing=None, changed=startup, failed=failed("Startup"))
            async with asyncio.TaskGroup() as group:
                task = group.create_task(watching)
                await started.wait()
                task.cancel()
            self.state.started = True
            set_ready(not spec.readiness_probe)
        async with asyncio.TaskGroup() as group:
            if probe := spec.readiness_probe:
                watching = probes.watch(probe, target, passing=False, changed=set_ready, failed=failed("Readiness"))
                group.create_task(watching)
            if probe := spec.liveness_probe:
                alive = set_alive("liveness", probe)
                watching = probes.watch(probe, target, passing=True, changed=alive, failed=failed("Liveness"))
                group.create_task(watching)

    async def _end(self, container: Container, grace: float) -> None:
        ended = asyncio.create_task(container.wait())
        deadline = time.monotonic() + grace
        if self._spec.lifecycle and self._spec.lifecycle.pre_stop and grace > 0:
            hook = asyncio.create_task(self._pre_stop(container, grace))
            await asyncio.wait({hook, ended}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            hook.cancel()
            deadline = max(deadline, time.monotonic() + LEAST_GRACE)
        container.terminate()
        await asyncio.wait({ended}, timeout=max(0.0, deadline - time.monotonic()))
        if not ended.done():
            container.kill()
        await ended

    async def _pre_stop(self, container: Container, grace: float) -> None:
        hook = self._spec.lifecycle.pre_stop
        try:
            if hook.sleep:
                await asyncio.sleep(hook.sleep.seconds)
            elif hook.http_get:
                target = probes.Target(self._spec, container, self._context.network, self._context.pod_ip)
                await probes.http_get(hook.http_get, target)
            elif hook._exec:
                code, output = await container.execute(hook._exec.command, grace)
                if code:
                    raise ContainerStartError(f"exited with {code}: {output.strip()}")
        except (OSError, ContainerStartError, probes.ProbeFailedError) as error:
            await self._record("Warning", "FailedPreStopHook", f"PreStopHook failed: {error}")

    def _ended(self, code: int, reason: str, message: str | None = None) -> None:
        times = {"startedAt": self._started_at or now(), "finishedAt": now()}
        terminated = {"exitCode": code, "reason": reason, **times, "containerID": self.state.container_id}
        self.state.ready = self.state.started = False
        self._set({"terminated": terminated | ({"message": message} if message else {})})

    async def _await_image(self, error: Exception, pulls: int) -> None:
        invalid = isinstance(error, InvalidImageNameError)
        reason = "InvalidImageName" if invalid else "ErrImagePull" if pulls == 0 else "ImagePullBackOff"
        message = str(error) if pulls == 0 else f'Back-off pulling image "{self._spec.image}": ErrImagePull: {error}'
        self._set({"waiting": {"reason": reason, "message": message}})
        await self._record("Warning", "Failed", f'Failed to pull image "{self._spec.image}": {error}')
        await self._sleep(min(CONFIG_RETRY if pulls == 0 else FIRST_BACK_OFF * 2 ** (pulls - 1), LONGEST_BACK_OFF))

    async def _await_configuration(self, error: Exception) -> None:
        if isinstance(error, ContainerConfigError):
            await self._wait_for("CreateContainerConfigError", f"{error}", "Failed")
        elif isinstance(error, VolumeError):
            await self._wait_for("ContainerCreating", f"{error}", "FailedMount")
        else:
            reason = error.reason if isinstance(error, ApiException) else error
            await self._wait_for("ContainerCreating", f"waiting for the API server: {reason}", "Failed")
        await self._sleep(CONFIG_RETRY)

    async def _wait_for(self, reason: str, message: str, event: str) -> None:
        waiting = {"waiting": {"reason": reason, "message": message}}
        if self.state.state != waiting:
            self._set(waiting)
            await self._record("Warning", event, message)

    async def _back_off(self, failures: int) -> None:
        self.state.last_state = self.state.state
        if failures == 1:
            self._set(dict(CREATING))
            return
        delay = min(FIRST_BACK_OFF * 2 ** (failures - 2), LONGEST_BACK_OFF)
        meta = self._context.pod.metadata
        which = f"container={self._spec.name} pod={meta.name}_{meta.namespace}({meta.uid})"
        message = f"back-off {delay:.0f}s restarting failed {which}"
        self._set({"waiting": {"reason": "CrashLoopBackOff", "message": message}})
        await self._record("Warning", "BackOff", f"Back-off restarting failed {which}")
        await self._sleep(delay)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not on when it is to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    def _set(self, state: dict) -> None:
        self.state.state = state
        self._context.changed()

    async def _record(self, kind: str, reason: str, message: str) -> None:
        with contextlib.suppress(*API_ERRORS):
            await self._context.record(kind, reason, message, self._spec.name)
