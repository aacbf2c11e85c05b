"""Probes of containers, as the kubelet makes them: from outside the container, with its counts and times."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from kubernetes_asyncio.client import V1Container, V1HTTPGetAction, V1Probe
from yarl import URL

from sandbox.node.pod_network import PodNetwork, PodNetworkError
from sandbox.node.runtime.container import Container, ContainerStartError

USER_AGENT = "kube-probe/1.34"
FIRST_CHECK = 0.4
"""Seconds from a container's start to its first check at least: the kubelet takes up to 1 to notice the start."""


@dataclass(frozen=True)
class Target:
    """What a container's probes reach it by."""

    spec: V1Container
    container: Container
    network: PodNetwork
    pod_ip: str


class ProbeFailedError(Exception):
    """A check did not pass; says why, as the kubelet's events do."""


def port_number(container: V1Container, port: int | str) -> int:
    """Return the number of a port given by number or name. Raises ProbeFailedError if no port has that name."""
    if isinstance(port, int) or port.isdecimal():
        return int(port)
    for one in container.ports or []:
        if one.name == port:
            return one.container_port
    raise ProbeFailedError(f"couldn't find port: {port} in container {container.name}")


async def check(probe: V1Probe, target: Target) -> None:
    """Make one check. Raises ProbeFailedError."""
    timeout = probe.timeout_seconds or 1
    try:
        async with asyncio.timeout(timeout):
            if probe.http_get:
                await http_get(probe.http_get, target)
            elif probe.tcp_socket:
                await _connect(target, port_number(target.spec, probe.tcp_socket.port))
            else:
                code, output = await target.container.execute(probe._exec.command, timeout)
                if code:
                    raise ProbeFailedError(output.strip() or f"command exited with {code}")
    except TimeoutError:
        raise ProbeFailedError(f"context deadline exceeded ({timeout} s)") from None
    except (OSError, PodNetworkError, ContainerStartError) as error:
        raise ProbeFailedError(str(error)) from None


async def _connect(target: Target, port: int) -> None:
    with await target.network.socket() as inside:
        await asyncio.get_running_loop().sock_connect(inside, (target.pod_ip, port))


async def http_get(action: V1HTTPGetAction, target: Target) -> None:
    """Make an HTTP request; statuses from 200 to 399 pass. Raises ProbeFailedError, OSError."""
    scheme, port = (action.scheme or "HTTP").lower(), port_number(target.spec, action.port)
    url = URL(f"{scheme}://{target.pod_ip}:{port}/{(action.path or '/').lstrip('/')}", encoded=True)
    headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Connection": "close"}
    headers |= {one.name: one.value for one in action.http_headers or []}
    inside = await target.network.socket()
    connector = aiohttp.TCPConnector(ssl=False, socket_factory=lambda _: inside)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, auto_decompress=False) as session,
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            if not 200 <= response.status < 400:  # noqa: PLR2004
                raise ProbeFailedError(f"HTTP probe failed with statuscode: {response.status}")
    except aiohttp.ClientError as error:
        raise ProbeFailedError(f'Get "{url}": {error}') from None
    finally:
        inside.close()


async def watch(
    probe: V1Probe,
    target: Target,
    *,
    passing: bool | None,
    changed: Callable[[bool], None],
    failed: Callable[[str], Awaitable[None]],
) -> None:
    """Check again and again; call `changed` when the result becomes another than `passing` is at first.

    `failed` gets the reason of each check that did not pass. Runs until it is cancelled.
    """
    await asyncio.sleep(max(probe.initial_delay_seconds or 0, FIRST_CHECK))
    run, last = 0, None
    while True:
        try:
            await check(probe, target)
            result = True
        except ProbeFailedError as error:
            result = False
            await failed(str(error))
        run = run + 1 if result == last else 1
        last = result
        threshold = (probe.success_threshold or 1) if result else (probe.failure_threshold or 3)
        if run >= threshold and result != passing:
            passing = result
            changed(result)
        await asyncio.sleep(probe.period_seconds or 10)
