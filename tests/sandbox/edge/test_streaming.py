"""The edge's streams: bodies, backpressure, idle timeouts, and what breaks in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.sandbox.edge.world import (
    HOST,
    HTTPS,
    PIECE,
    SIZE,
    World,
    loopback,
    refusal,
    report,
    reported,
)
from tests.waiting import PATIENCE_SECONDS

pytestmark = [pytest.mark.asyncio, pytest.mark.sandbox]


async def test_bodies_with_and_without_a_length_arrive_whole(world: World) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 100_000

    world.route()
    await world.add_pod(report)
    sized = await reported(world, "PATCH", data=b"x" * 500_000)
    assert (sized["length"], sized["headers"]["Content-Length"]) == (500_000, ["500000"])
    chunked = await reported(world, "PATCH", data=pieces())
    assert (chunked["length"], chunked["headers"]["Transfer-Encoding"]) == (500_000, ["chunked"])
    assert "Content-Length" not in chunked["headers"]


CONTINUE = f"PUT http://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n".encode()


async def test_100_continue_comes_from_the_pod(world: World) -> None:
    world.route()
    await world.add_pod(report)
    reader, writer = await world.raw(CONTINUE)
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"body")
    assert (await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_pod_that_refuses_before_the_body_is_heard(world: World) -> None:
    async def refuse(_: web.Request) -> None:
        raise web.HTTPUnauthorized(headers={"Connection": "close"})

    world.route()
    await world.add_pod(report, expect_handler=refuse)
    answer = await world.answer(CONTINUE)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"100 Continue" not in answer


async def test_an_answer_before_the_end_of_a_large_upload_reaches_a_client_that_reads_only_afterwards(
    world: World,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
        await asyncio.sleep(0.1)  # as Go's server does, before it closes
        writer.close()

    world.route()
    await world.add_raw_pod(serve)
    head = f"PUT http://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {64 * len(PIECE)}\r\n\r\n"
    reader, writer = await world.raw(head.encode())
    for _ in range(64):
        writer.write(PIECE)
        await writer.drain()
    answer = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in answer.lower()
    assert answer.endswith(b"no")
    writer.close()


@asynccontextmanager
async def little_memory(limit: int) -> AsyncIterator[None]:
    """Fail if this process's peak of resident memory within exceeds that before by more than `limit` bytes."""

    def kilobytes(field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM: proc(5)
    before = kilobytes("VmRSS")
    yield
    assert (kilobytes("VmHWM") - before) * 1024 < limit


async def count(request: web.Request) -> web.Response:
    total = 0
    async for data in request.content.iter_any():
        total += len(data)
    return web.Response(text=str(total))


async def produce(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_length = SIZE
    await response.prepare(request)
    for _ in range(SIZE // len(PIECE)):
        await response.write(PIECE)
    return response


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_200_mb_go_up_and_down_in_little_memory(world: World, scheme: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(SIZE // len(PIECE)):
            yield PIECE

    async def handler(request: web.Request) -> web.StreamResponse:
        return await (count if request.method == "PUT" else produce)(request)

    world.route()
    world.route(HTTPS)
    await world.add_pod(handler)
    async with little_memory(SIZE // 4), world.session() as session:
        async with session.put(f"{scheme}://{HOST}/", data=pieces()) as response:
            assert await response.text() == str(SIZE)
        async with session.get(f"{scheme}://{HOST}/") as response:
            received = 0
            async for data in response.content.iter_any():
                received += len(data)
            assert received == SIZE


async def test_a_client_that_does_not_read_stops_the_pod(world: World) -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        while sent < SIZE:
            writer.write(PIECE)
            await writer.drain()
            sent += len(PIECE)
        writer.close()

    world.route()
    await world.add_raw_pod(serve)
    reader, writer = await world.raw(f"GET http://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    before = 0
    while sent == 0 or sent != before:  # until nothing moves any more
        before = sent
        await asyncio.sleep(0.3)
    assert sent < 40 * 2**20  # the kernel's socket buffers, mostly
    await reader.readuntil(b"\r\n\r\n")
    assert len(await asyncio.wait_for(reader.readexactly(SIZE), PATIENCE_SECONDS)) == SIZE
    writer.close()


async def test_an_endpoint_that_takes_no_connection_is_passed_over(world: World) -> None:
    world.route()
    world.add_dead_pod()
    await world.add_pod(report)
    for _ in range(4):
        answer = await reported(world, "PUT", data=b"body")
        assert (answer["pod"], answer["length"]) == (loopback(1, 2), 4)


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A pod that takes connections, reads a request's head and breaks."""
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def test_a_get_that_a_pod_broke_before_it_answered_goes_to_another(world: World) -> None:
    world.route(protocol="HTTP")
    await world.add_raw_pod(closing)
    await world.add_pod(report)
    assert [(await reported(world))["pod"] for _ in range(3)] == [loopback(1, 2)] * 3


async def test_a_post_that_a_pod_broke_is_not_sent_twice(world: World) -> None:
    world.route(protocol="HTTP")
    await world.add_raw_pod(closing)
    await world.add_pod(report)
    async with world.session() as session, session.post(f"http://{HOST}/") as response:
        assert response.status == 502
        assert (await response.text()).startswith("the pod's side: ")


async def test_behind_a_tcp_listener_a_broken_pod_is_a_broken_connection(world: World) -> None:
    world.route()
    await world.add_raw_pod(closing)
    async with world.session() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"http://{HOST}/")


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
async def test_a_response_that_breaks_off_breaks_off_for_the_client(world: World, framing: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nhello\r\n".encode())
        await writer.drain()
        writer.close()

    world.route(protocol="HTTP")
    await world.add_raw_pod(serve)
    async with world.session() as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.get(f"http://{HOST}/") as response:
                await response.read()


async def test_a_response_that_breaks_off_is_not_mistaken_for_a_whole_one_where_its_end_is_the_connections(
    world: World,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        writer.close()

    world.route()
    await world.add_raw_pod(serve)
    with pytest.raises(ConnectionResetError):
        await world.answer(f"GET http://{HOST}/ HTTP/1.0\r\n\r\n".encode())


async def test_a_client_that_breaks_off_its_upload_breaks_it_for_the_pod(world: World) -> None:
    started = asyncio.Event()
    seen: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def handler(request: web.Request) -> web.Response:
        started.set()
        try:
            await request.read()
        except BaseException as error:
            seen.set_result(error)
            raise
        return web.Response()

    world.route()
    await world.add_pod(handler)
    head = f"PUT http://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n\r\npart"
    _, writer = await world.raw(head.encode())
    await asyncio.wait_for(started.wait(), PATIENCE_SECONDS)
    writer.transport.abort()
    error = await asyncio.wait_for(seen, PATIENCE_SECONDS)
    assert isinstance(error, OSError | aiohttp.ClientError | web.RequestPayloadError | asyncio.CancelledError)


async def test_the_idle_timeout_is_a_504_of_an_http_listener_and_a_broken_connection_of_a_tcp_listener(
    world: World,
) -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    world.route(protocol="HTTP", idle_seconds=0.2)
    await world.add_pod(handler)
    assert await refusal(world, status=504) == "no byte for 0.2 s, the idle timeout\n"
    world.route(idle_seconds=0.2, port=81)
    with pytest.raises(ConnectionResetError):
        await world.answer(f"GET http://{HOST}:81/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())


async def test_a_slow_stream_outlasts_the_idle_timeout(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read = asyncio.Event()
    loop, skipped = asyncio.get_running_loop(), 0.0
    time = loop.time
    monkeypatch.setattr(loop, "time", lambda: time() + skipped)

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal skipped
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(4):
            await response.write(b"x")
            await read.wait()
            read.clear()
            skipped += 40
        return response

    world.route(protocol="HTTP", idle_seconds=60)
    await world.add_pod(handler)
    async with world.session() as session, session.get(f"http://{HOST}/") as response:
        received = b""
        async for data in response.content.iter_any():
            received += data
            read.set()
        assert received == b"x" * 4
