"""The edge's TLS listeners, tunnels and source ranges."""

from __future__ import annotations

import asyncio
import socket
import struct
from ipaddress import ip_network

import aiohttp
import pytest

from tests.sandbox.edge.world import (
    HOST,
    HTTPS,
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


async def test_a_client_from_elsewhere_gets_no_answer(world: World) -> None:
    for port in (80, 443):
        world.route(HTTPS if port == 443 else ROUTE, sources=(ip_network(f"{loopback(9, 0)}/24"),))
    await world.add_pod(report)
    for url in (f"http://{HOST}/", f"https://{HOST}/"):
        async with world.session(source=loopback(8, 4)) as session:
            with pytest.raises((aiohttp.ClientError, OSError)):
                await session.get(url)
        async with world.session(source=loopback(9, 4)) as session, session.get(url) as response:
            assert response.status == 200


async def test_tls_ends_at_the_edge(world: World) -> None:
    world.route(HTTPS)
    await world.add_pod(report)
    await world.add_pod(report)
    async with world.session() as session:
        answers = []
        for _ in range(2):
            async with session.get(f"https://{HOST}/v2/?a=b") as response:
                answers.append(await response.json())
    assert [answer["pod"] for answer in answers] == [loopback(1, 1), loopback(1, 2)]
    assert answers[0]["target"] == "/v2/?a=b"
    assert answers[0]["headers"]["Host"] == [HOST]
    assert answers[0]["headers"]["X-Forwarded-Proto"] == ["https"]
    assert answers[0]["headers"]["X-Forwarded-Port"] == ["443"]


async def test_behind_an_ssl_listener_nothing_is_added(world: World) -> None:
    world.route(HTTPS, protocol="SSL")
    await world.add_pod(report)
    headers = (await reported(world, url=f"https://{HOST}/"))["headers"]
    assert not [name for name in headers if name.startswith("X-Forwarded")]


async def test_a_client_that_does_not_trust_the_authority_refuses(world: World) -> None:
    world.route(HTTPS)
    await world.add_pod(report)
    async with aiohttp.ClientSession(proxy=world.url) as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"https://{HOST}/")


async def test_the_security_policy_decides_about_versions_of_tls(world: World) -> None:
    await world.add_pod(report)
    versions = []
    for port, policy in ((443, "ELBSecurityPolicy-TLS-1-2-2017-01"), (444, "ELBSecurityPolicy-TLS13-1-2-2021-06")):
        world.route(HTTPS, port=port, security_policy=policy)
        reader, writer = await world.raw(f"CONNECT {HOST}:{port} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await writer.start_tls(client_context(), server_hostname=HOST)
        versions.append(writer.get_extra_info("ssl_object").version())
        writer.close()
    assert versions == ["TLSv1.2", "TLSv1.3"]


async def test_plain_http_to_a_tls_listener_is_refused(world: World) -> None:
    world.route(HTTPS)
    await world.add_pod(report)
    text = await refusal(world, f"http://{HOST}:443/", status=400)
    assert text == f"a plain HTTP request was sent to port 443 (HTTPS): use https://{HOST}\n"


async def test_a_tunnel_to_what_is_not_there_is_refused_with_the_reason(world: World) -> None:
    answer = await world.answer(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    reason = b"no A record for registry.sandbox.test in hosted zone sandbox.test (Z123)"
    assert answer.startswith(b"HTTP/1.1 502 " + reason + b"\r\n")  # which is all that most clients tell
    assert answer.endswith(reason + b"\n")


async def test_a_tunnel_to_a_tcp_listener_passes_bytes(world: World) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(b"<" + data + b">")
        writer.write(b"end")
        writer.close()

    world.route(port=443)
    await world.add_raw_pod(echo)
    reader, writer = await world.raw(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\nearly".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert await reader.readexactly(7) == b"<early>"
    writer.write(b"\x00\xff")
    assert await reader.readexactly(4) == b"<\x00\xff>"
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b"end"
    writer.close()


async def test_a_tunnel_that_breaks_on_one_side_breaks_on_the_other(world: World) -> None:
    pods: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await pods.put((reader, writer))

    world.route(port=443)
    await world.add_raw_pod(serve)
    for client_breaks in (True, False):
        client = await world.raw(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        await client[0].readuntil(b"\r\n\r\n")
        pod = await asyncio.wait_for(pods.get(), PATIENCE_SECONDS)
        broken, other = (client, pod) if client_breaks else (pod, client)
        linger = struct.pack("ii", 1, 0)  # closing resets the connection
        broken[1].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        broken[1].transport.abort()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(other[0].read(), PATIENCE_SECONDS)
        other[1].close()


async def test_a_tunnel_to_an_http_listener_carries_requests(world: World) -> None:
    world.route(protocol="HTTP")
    await world.add_pod(report)
    reader, writer = await world.raw(f"CONNECT {HOST}:80 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.write(f"GET /v2/ HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"X-Forwarded-Proto": ["http"]' in answer
    writer.close()
