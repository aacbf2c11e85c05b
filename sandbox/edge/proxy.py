"""The edge: what DNS and the load balancers' data path are elsewhere, as an HTTP proxy.

A request's host name is resolved through Route53 to a load balancer (resolution.py), its listener to a target that
gets connections (target_health.py), a NodePort to ready endpoints (endpoints.py), and the request streamed to one of
them (upstreams.py, streaming.py). It connects to pods of this sandbox, and to its emulated AWS, which has all names of
AWS's services.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import h11

from sandbox.edge.heads import Target, has_body, request_for_pod, target_of
from sandbox.edge.request_log import Entry
from sandbox.edge.resolution import Routes
from sandbox.edge.routes import Route, UnreachableError
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
from sandbox.edge.upstreams import TRIES, Upstreams
from sandbox.layout import Layout
from sandbox.service_hosts import PORT, service_host

IDLE_SECONDS = 60.0
"""How long a client's connection may wait for its first request: a classic load balancer's default."""
NEVER_SECONDS = 127.0
"""After this long a Linux client has no hope of an answer to its first packet (net.ipv4.tcp_syn_retries is 6)."""
RESTARTABLE = {b"GET", b"HEAD"}
"""Requests that are repeated on another endpoint when the first broke before it answered anything."""


class Edge:
    """The proxy: `serve` handles one client connection."""

    def __init__(
        self,
        layout: Layout,
        resolve: Callable[[str, int], Route],
        upstreams: Upstreams,
        server_context: Callable[..., ssl.SSLContext],
        node_address: str,
    ) -> None:
        """Serve what `upstreams` connects to, and the emulated AWS of `layout`.

        `resolve` returns the route to a host name's port; it blocks, and raises UnreachableError. `server_context`
        makes the TLS context of a server with the DNS names given. `node_address` is the node's, of `serve_node`.
        """
        aws = urlsplit(layout.cloud_tls_url)
        self._aws = Target(aws.hostname or "", aws.port or 0)
        self._routes = Routes(resolve)
        self._upstreams = upstreams
        self._node_address = node_address
        self._server_context = server_context
        self._contexts: dict[tuple[tuple[str, ...], str], ssl.SSLContext] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client until it, or an error, ends the connection."""
        await self._serve_client(Stream(reader, writer, h11.SERVER))

    async def serve_node(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the node as a client, which has the node's address."""
        await self._serve_client(Stream(reader, writer, h11.SERVER, self._node_address))

    async def _serve_client(self, client: Stream) -> None:
        try:
            await self._serve(client, None)
        except (BrokenError, OSError, TimeoutError):
            client.abort()
        finally:
            client.writer.close()

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
            async with self._upstreams.connected(client, route, entry) as upstream:
                try:
                    entry.status = await exchange(message, client, upstream)
                    return
                except UpstreamBrokenError:
                    restartable = message.method in RESTARTABLE and not has_body(message)
                    if upstream.received or not restartable or attempt == TRIES:
                        raise

    async def _route(self, client: Stream, target: Target) -> Route:
        """Return the route to `target`. Raises BrokenError for a client that gets no answer.

        That is one that no security group admits, and the node whose address is preserved: it would answer itself.
        https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-troubleshooting.html#loopback-timeout
        """
        route = await self._routes.get(target.host, target.port)
        if not route.admits(client.address):
            raise BrokenError(f"the security groups of {route.load_balancer} do not admit {client.address}")
        if route.preserves_client_address and client.address == self._node_address:
            with suppress(TimeoutError):
                async with asyncio.timeout(NEVER_SECONDS):
                    while await client.reader.read(CHUNK):
                        pass
            raise BrokenError(
                f"{route.load_balancer} preserves the address of its client, the node {client.address}, which is also "
                "its target: no answer arrives. Set preserve_client_ip.enabled=false on the target group"
            )
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
        if target == self._aws or (target.port == PORT and service_host(target.host)):
            return await self._tunnel_to_aws(client, entry)
        route = await self._route(client, target)
        if route.target_group or route.protocol == "TCP":
            return await self._tunnel(client, route, entry)
        entry.is_tunnel = not route.terminates_tls
        if entry.is_tunnel:
            return await self._serve(await client.accept_tunnel(), target)
        inside = await self._accept_tls(client, route, entry)
        entry.is_tunnel = True
        await self._serve(inside, Target(target.host, target.port, tls=True))

    async def _accept_tls(self, client: Stream, route: Route, entry: Entry) -> Stream:
        try:
            return await accept_tls_tunnel(client, self._context(route))
        except OSError as error:
            entry.note = f"TLS handshake: {error}"
            raise

    async def _tunnel(self, client: Stream, route: Route, entry: Entry) -> None:
        """Pass bytes to an endpoint and back, decrypted if the listener speaks TLS."""
        try:
            async with self._upstreams.connected(client, route, entry) as upstream:
                tls = route.terminates_tls
                inside = await (self._accept_tls(client, route, entry) if tls else client.accept_tunnel())
                inside.on_bytes = client.on_bytes
                entry.status = 200
                entry.note = f"{await tunnel(inside, upstream)} bytes"
            await inside.close()
        except TimeoutError:
            entry.note = f"no byte for {route.idle_seconds} s, the idle timeout"
            raise

    async def _tunnel_to_aws(self, client: Stream, entry: Entry) -> None:
        """To AWS's own names, and for clients that keep their proxy when they are redirected to an address of S3."""
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
