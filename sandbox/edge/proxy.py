"""The edge: what DNS and the load balancers' data path are elsewhere, as an HTTP proxy.

A request's host name is resolved through Route53 to a load balancer (resolution.py), its listener's NodePort to ready
endpoints (endpoints.py), and the request streamed to one of them (streaming.py). It connects to pods of this sandbox,
and to its emulated AWS.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import h11

from sandbox.edge.endpoints import Endpoint, Endpoints
from sandbox.edge.heads import Target, has_body, request_for_pod, target_of
from sandbox.edge.load_balancers import Route, UnreachableError
from sandbox.edge.resolution import Routes
from sandbox.edge.streaming import (
    CHUNK,
    BrokenError,
    ClientBrokenError,
    Stream,
    UpstreamBrokenError,
    accept_tls_tunnel,
    exchange,
    tunnel,
)
from sandbox.layout import Layout

log = logging.getLogger("sandbox.edge")

TRIES = 3
"""Endpoints tried for one request, one after the other."""
CONNECT_SECONDS = 5.0
IDLE_SECONDS = 60.0
"""How long a client's connection may wait for its first request: a classic load balancer's default."""
RESTARTABLE = {b"GET", b"HEAD"}
"""Requests that are repeated on another endpoint when the first broke before it answered anything."""


@dataclass
class Entry:
    """A request's line in the log. It holds no query and no header, which may be secret."""

    method: str
    host: str = "-"
    path: str = "-"
    status: int | None = None
    endpoint: Endpoint | None = None
    note: str = ""
    is_tunnel: bool = False
    """Whether the requests inside have lines of their own."""
    started: float = field(default_factory=time.monotonic)

    def write(self) -> None:
        """Write the line."""
        if self.is_tunnel:
            return
        milliseconds = (time.monotonic() - self.started) * 1000
        where = f"{self.method} {self.host} {self.path} {self.status or '-'} {self.endpoint or '-'}"
        log.info("%s %.0f ms%s", where, milliseconds, self.note and f": {self.note}")


class Edge:
    """The proxy: `serve` handles one client connection."""

    def __init__(
        self,
        layout: Layout,
        resolve: Callable[[str, int], Route],
        endpoints: Endpoints,
        server_context: Callable[..., ssl.SSLContext],
    ) -> None:
        """Serve the pods of `layout`.

        `resolve` returns the route to a host name's port; it blocks, and raises UnreachableError. `server_context`
        makes the TLS context of a server with the DNS names given.
        """
        self._pod_network = ip_network(layout.pod_network)
        aws = urlsplit(layout.cloud_tls_url)
        self._aws = Target(aws.hostname or "", aws.port or 0)
        self._routes = Routes(resolve)
        self._endpoints = endpoints
        self._server_context = server_context
        self._contexts: dict[tuple[tuple[str, ...], str], ssl.SSLContext] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client until it, or an error, ends the connection."""
        client = Stream(reader, writer, h11.SERVER)
        try:
            await self._serve(client, None)
        except (BrokenError, OSError, TimeoutError):
            client.abort()
        finally:
            writer.close()

    async def _serve(self, client: Stream, tunnelled: Target | None) -> None:
        """Answer the requests of `client`, all of them for `tunnelled` if it came by CONNECT."""
        idle = IDLE_SECONDS
        while True:
            try:
                async with asyncio.timeout(idle):
                    request = await self._next_request(client)
            except TimeoutError:
                request = None
            if request is None:
                break
            entry = Entry(request.method.decode())
            try:
                if request.method == b"CONNECT" and not tunnelled:
                    await self._connect(client, request, entry)
                    return
                idle = await self._request(client, request, tunnelled, entry)
            except UnreachableError as error:
                await _refuse(client, entry, 502, str(error))
            except BrokenError as error:
                entry.note = entry.note or str(error)
                raise
            finally:
                entry.write()
            if not client.is_ready_for_next:
                break
            client.http.start_next_cycle()
        await client.close()

    async def _next_request(self, client: Stream) -> h11.Request | None:
        """Return the next request, None if there is none. What is no request is refused here."""
        try:
            event = await client.next_event()
        except ClientBrokenError as error:
            if not client.refusal:
                raise
            entry = Entry("-")
            await _refuse(client, entry, client.refusal, f"the edge can't read this request: {error}")
            entry.write()
            return None
        return event if isinstance(event, h11.Request) else None

    async def _request(self, client: Stream, request: h11.Request, tunnelled: Target | None, entry: Entry) -> float:
        """Pass a request on, and its response back; return the idle timeout of the load balancer."""
        try:
            target, path = target_of(request, tunnelled)
        except ValueError as error:
            await _refuse(client, entry, 400, str(error))
            return IDLE_SECONDS
        entry.host, entry.path = target.host, path.partition(b"?")[0].decode("ascii", "replace")
        route = await self._route(client, target)
        if route.terminates_tls and not target.tls:
            text = f"a plain HTTP request was sent to port {target.port} ({route.protocol}): use https://{target.host}"
            await _refuse(client, entry, 400, text)
            return route.idle_seconds
        message = request_for_pod(request, path, target.host, route, client.address)
        try:
            await self._pass_on(client, message, route, entry)
        except (TimeoutError, UpstreamBrokenError) as error:
            timed_out = isinstance(error, TimeoutError)
            text = f"no byte for {route.idle_seconds} s, the idle timeout" if timed_out else f"the pod's side: {error}"
            if not route.speaks_http or client.http.our_state is not h11.SEND_RESPONSE:
                raise BrokenError(text) from error
            await _refuse(client, entry, 504 if timed_out else 502, text)
        return route.idle_seconds

    async def _pass_on(self, client: Stream, message: h11.Request, route: Route, entry: Entry) -> None:
        """Pass `message` to an endpoint, or to the next while nothing has come of it."""
        for attempt in itertools.count(1):
            async with self._upstream(client, route, entry) as upstream:
                try:
                    entry.status = await exchange(message, client, upstream)
                    return
                except UpstreamBrokenError:
                    restartable = message.method in RESTARTABLE and not has_body(message)
                    if upstream.received or not restartable or attempt == TRIES:
                        raise

    @asynccontextmanager
    async def _upstream(self, client: Stream, route: Route, entry: Entry) -> AsyncIterator[Stream]:
        """Connect to an endpoint of `route`; watch over bytes coming and going. Raises TimeoutError if none do."""
        upstream = await self._connected(route, entry)
        loop = asyncio.get_running_loop()
        try:
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
            client.on_bytes = lambda: None
            upstream.writer.close()

    async def _connected(self, route: Route, entry: Entry) -> Stream:
        """Connect to the next endpoint that takes the connection. Raises UnreachableError if none does."""
        endpoints = self._endpoints.behind(route.instance_port)[:TRIES]
        for entry.endpoint in endpoints:
            if ip_address(entry.endpoint.address) not in self._pod_network:
                raise UnreachableError(f"the endpoint {entry.endpoint} is outside of the pods' {self._pod_network}")
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    address = Layout.loopback_of(entry.endpoint.address)
                    reader, writer = await asyncio.open_connection(address, entry.endpoint.port, limit=CHUNK)
                return Stream(reader, writer, h11.CLIENT)
            except (OSError, TimeoutError):
                continue
        tried = ", ".join(map(str, endpoints))
        raise UnreachableError(f"no connection to the ready endpoints {tried}: see the pods' logs")

    async def _route(self, client: Stream, target: Target) -> Route:
        """Return the route to `target`. A client that no security group admits gets no answer: BrokenError."""
        route = await self._routes.get(target.host, target.port)
        if not route.admits(client.address):
            raise BrokenError(f"the security groups of {route.load_balancer} do not admit {client.address}")
        return route

    async def _connect(self, client: Stream, request: h11.Request, entry: Entry) -> None:
        """Serve a tunnel: TLS that ends here, plain requests, or bytes, as the listener's protocol says."""
        entry.host = request.target.decode("ascii", "replace")
        await client.next_event()  # the end of the request
        try:
            url = urlsplit(f"//{entry.host}")
            target = Target(url.hostname or "", url.port or 0)
        except ValueError as error:
            await _refuse(client, entry, 400, f"CONNECT takes host:port, not {entry.host}: {error}")
            return await client.close()
        if target == self._aws:
            return await self._tunnel_to_aws(client, entry)
        route = await self._route(client, target)
        if route.protocol == "TCP":
            return await self._tunnel(client, route, entry)
        entry.is_tunnel = not route.terminates_tls
        if entry.is_tunnel:
            return await self._serve(await client.accept_tunnel(), target)
        try:
            inside = await accept_tls_tunnel(client, self._context(route))
        except OSError as error:
            entry.note = f"TLS handshake: {error}"
            raise
        entry.is_tunnel = True
        await self._serve(inside, Target(target.host, target.port, tls=True))

    async def _tunnel(self, client: Stream, route: Route, entry: Entry) -> None:
        try:
            async with self._upstream(client, route, entry) as upstream:
                inside = await client.accept_tunnel()
                entry.status = 200
                entry.note = f"{await tunnel(inside, upstream)} bytes"
        except TimeoutError:
            entry.note = f"no byte for {route.idle_seconds} s, the idle timeout"
            raise

    async def _tunnel_to_aws(self, client: Stream, entry: Entry) -> None:
        """For clients that keep their proxy when they are redirected to S3, as Python's requests does."""
        reader, writer = await asyncio.open_connection(self._aws.host, self._aws.port, limit=CHUNK)
        try:
            upstream = Stream(reader, writer, h11.CLIENT)
            entry.status = 200
            entry.note = f"{await tunnel(await client.accept_tunnel(), upstream)} bytes"
        finally:
            writer.close()

    def _context(self, route: Route) -> ssl.SSLContext:
        key = (route.certificate_names, route.security_policy)
        if key not in self._contexts:
            context = self._server_context(*route.certificate_names)
            context.minimum_version, context.maximum_version = route.tls_versions
            self._contexts[key] = context
        return self._contexts[key]


async def _refuse(client: Stream, entry: Entry, status: int, text: str) -> None:
    entry.status, entry.note = status, text
    await client.answer(status, text)
