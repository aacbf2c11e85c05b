"""Connections through network load balancers: to which target, for how long, and from the node."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import replace
from ipaddress import ip_network

import pytest
from aiohttp import web

from sandbox.edge.target_groups import TargetId
from tests.sandbox.edge.world import (
    HOST,
    LAYOUT,
    NETWORK,
    NODE,
    ROUTE,
    World,
    client_context,
    loopback,
    refusal,
    report,
    reported,
)
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio

TLS = replace(NETWORK, port=443, protocol="TLS", certificate_names=(HOST,))
CONNECT = f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
INSTANCE = TargetId("i-0123456789abcdef0", 31080)
POD = TargetId("10.0.0.0", 0)
"""In place of the pod, whose address and port are not known yet."""


async def ending(reader: asyncio.StreamReader, length: int = -1) -> bytes:
    """What comes until the edge closes or resets the connection, or until it is `length` bytes."""
    try:
        return await asyncio.wait_for(reader.read(length), PATIENCE_SECONDS)
    except (ConnectionResetError, ssl.SSLError):
        return b""


async def test_connections_come_to_the_pods_that_are_registered_by_their_addresses(world: World) -> None:
    world.route(NETWORK)
    first, _, third = [await world.add_pod(report) for _ in range(3)]
    world.register(first, third)
    assert [(await reported(world))["pod"] for _ in range(4)] == [loopback(1, 1), loopback(1, 3)] * 2


async def test_an_instance_hands_them_to_the_pods_behind_its_node_port(world: World) -> None:
    world.route(NETWORK)
    for _ in range(2):
        await world.add_pod(report)
    world.register(INSTANCE)
    assert {(await reported(world))["pod"] for _ in range(4)} == {loopback(1, 1), loopback(1, 2)}


@pytest.mark.parametrize(
    ("target", "preserved", "source"),
    [
        (None, False, LAYOUT.node_address),
        (INSTANCE, False, LAYOUT.node_address),
        (INSTANCE, True, LAYOUT.node_address),
        (POD, False, LAYOUT.load_balancer_address),
        (POD, True, loopback(9, 9)),
    ],
    ids=["the pods", "instance", "instance, address preserved", "pod", "pod, address preserved"],
)
async def test_a_pod_sees_the_node_the_balancer_or_the_client(
    world: World, target: TargetId | None, preserved: bool, source: str
) -> None:
    async def tell(request: web.Request) -> web.Response:
        return web.Response(text=request.transport.get_extra_info("peername")[0] if request.transport else "")

    pod = await world.add_pod(tell)
    world.route(NETWORK if target else ROUTE, preserves_client_address=preserved)
    if target:
        world.register(target if target.is_instance else TargetId(pod.address, pod.port))
    async with world.session(loopback(9, 9)) as session, session.get(f"http://{HOST}/") as response:
        assert (response.status, await response.text()) == (200, source)


async def test_a_target_that_is_gone_though_it_counts_as_healthy_breaks_the_connection(world: World) -> None:
    """As in AWS, another is not tried: a pod that ends before it is drained is found out."""
    world.route(NETWORK)
    gone, alive = world.add_dead_pod(), await world.add_pod(report)
    world.register(gone, alive)
    assert f"no connection to the ready endpoints {gone}" in await refusal(world)
    assert (await reported(world))["pod"] == loopback(1, 2)


async def test_without_a_target_the_reason_is_told(world: World) -> None:
    world.route(NETWORK)
    await world.add_pod(report)
    assert "the target group registry has no target that gets connections (none is registered)" in await refusal(world)


async def test_a_tls_listener_adds_nothing_and_keeps_a_clients_connection_at_one_target(world: World) -> None:
    world.route(TLS)
    world.register(*[await world.add_pod(report) for _ in range(2)])
    answers = []
    async with world.session() as session:
        for _ in range(2):
            async with session.get(f"https://{HOST}/v2/") as response:
                answers.append(await response.json())
    assert answers[0]["pod"] == answers[1]["pod"]
    assert not [name for name in answers[0]["headers"] if name.startswith("X-Forwarded")]


async def test_a_connection_inside_tls_ends_when_its_pod_ends_it(world: World) -> None:
    async def close(request: web.Request) -> web.Response:
        response = web.Response(text="all")
        response.force_close()
        return response

    world.route(TLS)
    world.register(await world.add_pod(close))
    reader, writer = await world.raw(CONNECT)
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(client_context(), server_hostname=HOST)
    writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert (await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)).endswith(b"all")
    writer.close()


async def test_a_deregistered_target_keeps_the_connections_that_it_has(world: World) -> None:
    world.route(TLS)
    first, second = [await world.add_pod(report) for _ in range(2)]
    world.register(first)
    async with world.session() as kept:
        before = await (await kept.get(f"https://{HOST}/")).json()
        world.register(second)
        after = await (await kept.get(f"https://{HOST}/")).json()
    assert (before["pod"], after["pod"]) == (loopback(1, 1), loopback(1, 1))
    assert (await reported(world, url=f"https://{HOST}/"))["pod"] == loopback(1, 2)


async def test_a_group_can_have_them_ended_with_draining(world: World) -> None:
    world.route(TLS)
    world.register(await world.add_pod(report), ends_connections_when_drained=True)
    reader, writer = await world.raw(CONNECT)
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(client_context(), server_hostname=HOST)
    world.register(ends_connections_when_drained=True)
    assert await ending(reader) == b""
    writer.close()


async def test_a_silent_connection_ends_with_the_listeners_idle_timeout(world: World) -> None:
    world.route(replace(NETWORK, port=443), idle_seconds=1)
    world.register(await world.add_pod(report))
    reader, writer = await world.raw(CONNECT)
    await reader.readuntil(b"\r\n\r\n")
    assert await ending(reader) == b""
    writer.close()


@pytest.mark.parametrize("route", [TLS, replace(NETWORK, port=443)])
async def test_the_node_gets_no_answer_from_itself_where_its_address_is_preserved(
    world: World, route: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(route, type(NETWORK))
    monkeypatch.setattr("sandbox.edge.proxy.NEVER_SECONDS", 0.2)
    caplog.set_level(logging.INFO, "sandbox.edge")
    world.route(route, preserves_client_address=True)
    world.register(await world.add_pod(report))
    reader, writer = await asyncio.open_connection(*world.node_address)
    writer.write(CONNECT)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
    writer.close()
    assert "Set preserve_client_ip.enabled=false on the target group" in caplog.text
    reader, writer = await world.raw(CONNECT)  # from elsewhere
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS)
    writer.close()


async def test_the_node_is_answered_where_its_address_is_not_preserved(world: World) -> None:
    world.route(TLS)
    world.register(await world.add_pod(report))
    reader, writer = await asyncio.open_connection(*world.node_address)
    writer.write(CONNECT)
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_security_groups_see_the_nodes_own_address(world: World) -> None:
    world.route(NETWORK, port=443, sources=(ip_network(f"{NODE}/32"),))
    world.register(await world.add_pod(report))
    for address, answer in ((world.node_address, b"HTTP/1.1 200"), (world.address, b"")):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(CONNECT)
        assert await ending(reader, 12) == answer
        writer.close()
