"""An edge with clients and pods, for its tests: routes and endpoints are given, clients and pods are real."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import aiohttp
import trustme
from aiohttp import web

from sandbox.edge.endpoints import Endpoint
from sandbox.edge.proxy import Edge
from sandbox.edge.routes import Route, UnreachableError
from sandbox.edge.target_groups import HealthCheck, TargetGroup, TargetId
from sandbox.edge.target_health import Targets
from sandbox.edge.upstreams import Upstreams
from sandbox.layout import Layout
from tests import networks
from tests.waiting import PATIENCE_SECONDS

LAYOUT = Layout(name="edge-test", network=networks.EDGE)
HOST = "registry.sandbox.test"
ANYBODY = (ip_network("0.0.0.0/0"),)
ROUTE = Route("a1b2", 80, "TCP", 31080, 60, ANYBODY)
HTTPS = replace(ROUTE, port=443, protocol="HTTPS", certificate_names=(HOST,))
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/registry/0123456789abcdef"
NETWORK = replace(ROUTE, instance_port=None, target_group=GROUP)
"""Behind a network load balancer."""
NODE = "172.31.0.10"
SIZE = 200 * 2**20
PIECE = bytes(2**20)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CA = trustme.CA()


def loopback(third: int, fourth: int) -> str:
    """An address of the edge's network."""
    return f"127.{LAYOUT.network}.{third}.{fourth}"


def server_context(*names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(*names).configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


class World:
    """An edge, its clients, and its pods."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, int], Route] = {}
        self.pods: list[Endpoint] = []
        self.targets = Targets(registration_delay=0, deregistration_lag=0)
        self.turn = 0
        self.address = ("", 0)
        self.node_address = ("", 0)
        """Where the edge takes its client for the node."""
        self.runners: list[web.AppRunner] = []

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def route(self, route: Route = ROUTE, **changes: Any) -> None:
        changed = replace(route, **changes)
        self.routes[HOST, changed.port] = changed

    def resolve(self, host: str, port: int) -> Route:
        if (host, port) not in self.routes:
            raise UnreachableError(f"no A record for {host} in hosted zone sandbox.test (Z123)")
        return self.routes[host, port]

    def behind(self, node_port: int) -> list[Endpoint]:
        assert node_port == 31080
        if not self.pods:
            raise UnreachableError("the Service kube-system/kube-registry has no ready endpoint")
        turn = self.turn % len(self.pods)
        self.turn += 1
        return self.pods[turn:] + self.pods[:turn]

    def register(self, *targets: Endpoint | TargetId, **settings: Any) -> None:
        """Have `targets` for all of GROUP, each of them healthy from its registration on."""
        ids = [one if isinstance(one, TargetId) else TargetId(one.address, one.port) for one in targets]
        group = TargetGroup(GROUP, "registry", HealthCheck(healthy_threshold=1), dict.fromkeys(ids, "initial"))
        for target in self.targets.update([replace(group, **settings)], asyncio.get_running_loop().time()):
            target.hear(None)

    async def add_pod(self, handler: Handler, **options: Any) -> Endpoint:
        """Run an HTTP server as the next pod."""
        app = web.Application(client_max_size=2 * SIZE)
        app.router.add_route("*", "/{path:.*}", handler, **options)
        runner = web.AppRunner(app, shutdown_timeout=0.1, auto_decompress=False)
        await runner.setup()
        await web.TCPSite(runner, self._next_address(), 0).start()
        self.runners.append(runner)
        return self._listed(runner.addresses[0])

    def add_dead_pod(self) -> Endpoint:
        with socket.create_server((self._next_address(), 0)) as server:
            return self._listed(server.getsockname())

    async def add_raw_pod(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        server = await asyncio.start_server(serve, self._next_address(), 0)
        self._listed(server.sockets[0].getsockname())

    def _next_address(self) -> str:
        return loopback(1, len(self.pods) + 1)

    def _listed(self, address: tuple[str, int]) -> Endpoint:
        """Add the pod that is served on `address` to the ready ones."""
        self.pods.append(Endpoint("10." + address[0].partition(".")[2], address[1]))
        return self.pods[-1]

    def session(self, source: str = "127.0.0.1", **options: Any) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=client_context(), local_addr=(source, 0))
        return aiohttp.ClientSession(connector=connector, proxy=self.url, auto_decompress=False, **options)

    async def raw(self, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(request)
        return reader, writer

    async def answer(self, request: bytes) -> bytes:
        """Send bytes, and return all that comes until the edge closes."""
        reader, writer = await self.raw(request)
        try:
            return await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
        finally:
            writer.close()


async def report(request: web.Request) -> web.Response:
    """Tell what has come, and where."""
    body = await request.read()
    sockname = request.transport.get_extra_info("sockname")[0] if request.transport else ""
    return web.json_response(
        {
            "pod": sockname,
            "method": request.method,
            "target": request.raw_path,
            "headers": {name.title(): request.headers.getall(name) for name in request.headers},
            "length": len(body),
        }
    )


async def reported(world: World, method: str = "GET", url: str = f"http://{HOST}/v2/", **arguments: Any) -> Any:
    async with world.session() as session, session.request(method, url, **arguments) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def refusal(world: World, url: str = f"http://{HOST}/", status: int = 502) -> str:
    async with world.session() as session, session.get(url) as response:
        assert (response.status, response.content_type) == (status, "text/plain")
        return await response.text()


@asynccontextmanager
async def running_world() -> AsyncIterator[World]:
    """Serve a World's edge on a port of its own; end it and the pods afterwards."""
    world = World()
    edge = Edge(LAYOUT, world.resolve, Upstreams(LAYOUT, world, world.targets), server_context, NODE)
    servers = [await asyncio.start_server(serve, LAYOUT.address, 0) for serve in (edge.serve, edge.serve_node)]
    world.address, world.node_address = (server.sockets[0].getsockname() for server in servers)
    yield world
    for server in servers:
        server.close()
    for runner in world.runners:
        await runner.cleanup()
