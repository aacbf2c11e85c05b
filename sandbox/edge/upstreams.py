"""The load balancers' connections to pods: to whom, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network

import h11

from sandbox.edge.endpoints import Endpoint, Endpoints, loopback_of
from sandbox.edge.health_checks import endpoint_of
from sandbox.edge.pod_connections import balancer_source, connect
from sandbox.edge.request_log import Entry
from sandbox.edge.routes import Route, UnreachableError
from sandbox.edge.streaming import CHUNK, Stream
from sandbox.edge.target_health import RegisteredTarget, Targets
from sandbox.layout import Layout

TRIES = 3
"""Endpoints tried for one request, one after the other."""
CONNECT_SECONDS = 5.0


class Upstreams:
    """The way from a route to a pod of one sandbox."""

    def __init__(self, layout: Layout, endpoints: Endpoints, targets: Targets) -> None:
        """Connect to pods of `layout`: `endpoints` are behind NodePorts, `targets` in target groups."""
        self._layout = layout
        self._pod_network = ip_network(layout.pod_network)
        self._endpoints = endpoints
        self._targets = targets

    @asynccontextmanager
    async def connected(self, client: Stream, route: Route, entry: Entry) -> AsyncIterator[Stream]:
        """Connect to an endpoint of `route`, which `entry` is told; watch over bytes coming and going.

        Raises UnreachableError if there is none to connect to, TimeoutError if no byte comes or goes for long.
        """
        loop = asyncio.get_running_loop()
        target = self._targets.choose(route.target_group, loop.time()) if route.target_group else None
        upstream = await self._connect(self._behind(route, target), entry, self._source(client, route, target))
        try:
            if target:
                target.connections.add(upstream)
            async with asyncio.timeout(route.idle_seconds) as timeout:

                def postpone() -> None:
                    with suppress(RuntimeError):  # it has expired
                        timeout.reschedule(loop.time() + route.idle_seconds)

                client.on_bytes = upstream.on_bytes = postpone
                yield upstream
        except BaseException:
            upstream.abort()
            raise
        finally:
            if target:
                target.connections.discard(upstream)
            client.on_bytes = lambda: None
            upstream.writer.close()

    def _behind(self, route: Route, target: RegisteredTarget | None) -> list[Endpoint]:
        """Return the endpoints to try in turn. A network load balancer tries the target that it has chosen only."""
        if target:
            return [endpoint_of(target.id, self._endpoints)]
        return self._endpoints.behind(route.instance_port)[:TRIES] if route.instance_port else []

    def _source(self, client: Stream, route: Route, target: RegisteredTarget | None) -> str:
        """Return the address that a pod sees: the client's only where the balancer comes to it directly."""
        by_instance = target is None or target.id.is_instance
        if route.preserves_client_address and not by_instance:
            return client.address
        return balancer_source(self._layout, by_instance=by_instance)

    async def _connect(self, endpoints: list[Endpoint], entry: Entry, source: str) -> Stream:
        """Connect to the first endpoint that takes the connection. Raises UnreachableError if none does."""
        for entry.endpoint in endpoints:
            address = loopback_of(entry.endpoint, self._pod_network)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    made = await connect(self._layout, source, address, entry.endpoint.port)
                    reader, writer = await asyncio.open_connection(sock=made, limit=CHUNK)
                return Stream(reader, writer, h11.CLIENT)
            except (OSError, TimeoutError):
                continue
        tried = ", ".join(map(str, endpoints))
        raise UnreachableError(f"no connection to the ready endpoints {tried}: see the pods' logs")
