"""The health checks that network load balancers make of their targets, and the report of them to the emulated AWS."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from ipaddress import ip_network

import aiohttp

from sandbox.edge.endpoints import Endpoint, Endpoints, loopback_of
from sandbox.edge.pod_connections import balancer_source, connect, new_socket
from sandbox.edge.routes import UnreachableError
from sandbox.edge.target_groups import TRAFFIC_PORT, HealthCheck, TargetGroup, TargetId
from sandbox.edge.target_health import Failure, RegisteredTarget, Targets
from sandbox.layout import Layout

log = logging.getLogger("sandbox.edge")

POLL_SECONDS = 1.0
"""Between two looks at what is registered."""


def endpoint_of(target: TargetId, endpoints: Endpoints) -> Endpoint:
    """Return the pod that a connection to `target` comes to. Raises UnreachableError.

    An instance hands it to one behind its NodePort, as kube-proxy does.
    """
    return endpoints.behind(target.port)[0] if target.is_instance else Endpoint(target.id, target.port)


async def check(target: TargetId, how: HealthCheck, endpoints: Endpoints, layout: Layout) -> Failure | None:
    """Make one health check of `target`, by a pod of `layout`; return None if it succeeds."""
    port = target.port if how.port == TRAFFIC_PORT else int(how.port)
    try:
        async with asyncio.timeout(how.timeout_seconds):
            endpoint = endpoint_of(TargetId(target.id, port), endpoints)
            address = loopback_of(endpoint, ip_network(layout.pod_network))
            source = balancer_source(layout, by_instance=target.is_instance)
            if how.protocol == "TCP":
                (await connect(layout, source, address, endpoint.port)).close()
                return None
            connector = aiohttp.TCPConnector(socket_factory=lambda _: new_socket(layout, source))
            status = await _get(f"{how.protocol.lower()}://{address}:{endpoint.port}{how.path}", connector)
    except TimeoutError:
        return Failure("Target.Timeout", "Request timed out")
    except (OSError, aiohttp.ClientError, UnreachableError):
        return Failure("Target.FailedHealthChecks", "Health checks failed")
    if not how.accepts(status):
        return Failure("Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]")
    return None


async def _get(url: str, connector: aiohttp.TCPConnector) -> int:
    """Return the status; as load balancers, whoever holds the certificate and without following a redirect."""
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, ssl=False, allow_redirects=False) as response,
    ):
        return response.status


class Monitor:
    """Keeps Targets as AWS and the health checks have them, until cancelled."""

    def __init__(
        self, layout: Layout, targets: Targets, read: Callable[[], list[TargetGroup]], endpoints: Endpoints
    ) -> None:
        """Check pods of `layout`, and write what is found to its `target_health_file`.

        `read` returns all target groups; it blocks, and runs in a thread.
        """
        self._targets = targets
        self._read = read
        self._endpoints = endpoints
        self._layout = layout
        self._file = layout.target_health_file
        self._reported = ""

    async def run(self) -> None:
        """Look at what is registered every POLL_SECONDS, and check each target at its group's interval."""
        async with asyncio.TaskGroup() as checks:
            while True:
                try:
                    groups = await asyncio.to_thread(self._read)
                except Exception as error:  # whatever keeps AWS from answering: what is known stays
                    log.info("no news of target groups (%s): trying again", " ".join(str(error).split())[:200])
                else:
                    for target in self._targets.update(groups, asyncio.get_running_loop().time()):
                        checks.create_task(self._check_repeatedly(target))
                    self._report()
                await asyncio.sleep(POLL_SECONDS)

    async def _check_repeatedly(self, target: RegisteredTarget) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0, target.registered_at + self._targets.registration_delay - loop.time()))
        target.begin_checks()
        while self._targets.knows(target):
            started, before = loop.time(), target.state
            target.hear(await check(target.id, target.group.check, self._endpoints, self._layout))
            if target.state != before:
                log.info("target %s of %s: %s %s", target.id, target.group.name, target.state, target.reason[0])
            self._report()
            await asyncio.sleep(max(0, started + target.group.check.interval_seconds - loop.time()))

    def _report(self) -> None:
        text = json.dumps(self._targets.report(), indent=2)
        if text != self._reported:
            new = self._file.with_suffix(".new")
            new.write_text(text)
            new.replace(self._file)
            self._reported = text
