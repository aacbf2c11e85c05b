"""Real network namespaces: each test makes one, which takes 0.1 s."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sandbox.node.pod_network import PodNetwork, PodNetworkError
from tests import networks
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.sandbox

POD_IP = f"10.{networks.PODS}.1.1"
CLOUD = (f"127.{networks.PODS}.0.1", 4566)
MEGABYTE = 1 << 20


def free_address() -> tuple[str, int]:
    """An address on a loopback of the tests' own, so that tests side by side don't meet."""
    with socket.create_server(
        (f"127.{networks.PODS}.{random.randrange(1, 255)}.{random.randrange(1, 255)}", 0)
    ) as found:
        return found.getsockname()


@asynccontextmanager
async def network(
    ports: dict[tuple[str, int], tuple[str, int]] | None = None,
    egress: dict[tuple[str, int], tuple[str, int]] | None = None,
) -> AsyncIterator[PodNetwork]:
    made = await PodNetwork.open(hostname="web", addresses=[POD_IP], ports=ports or {}, egress=egress or {})
    try:
        yield made
    finally:
        await made.close()


def in_time(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await test()

    asyncio.run(limited())


async def listen(inside: PodNetwork, port: int, handle: Any) -> asyncio.Server:
    listener = await inside.socket()
    listener.bind(("0.0.0.0", port))
    return await asyncio.start_server(handle, sock=listener)


async def echo_after_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with what came, once the other side has ended."""
    digest, size = hashlib.sha256(), 0
    while chunk := await reader.read(MEGABYTE):
        digest.update(chunk)
        size += len(chunk)
    writer.write(f"{size} {digest.hexdigest()}".encode())
    writer.close()


def test_two_pods_listen_on_the_same_port() -> None:
    async def test() -> None:
        first, second = free_address(), free_address()
        async with network({first: (POD_IP, 5000)}) as one, network({second: (POD_IP, 5000)}) as other:
            for inside, outside, text in ((one, first, b"one"), (other, second, b"other")):

                async def answer(_: Any, writer: asyncio.StreamWriter, text: bytes = text) -> None:
                    writer.write(text)
                    writer.close()

                await listen(inside, 5000, answer)
                reader, writer = await asyncio.open_connection(*outside)
                assert await reader.read() == text
                writer.close()

    in_time(test)


def test_what_is_sent_arrives_whole_and_half_closing_passes_through() -> None:
    async def test() -> None:
        outside = free_address()
        async with network({outside: (POD_IP, 5000)}) as inside:
            await listen(inside, 5000, echo_after_the_end)
            reader, writer = await asyncio.open_connection(*outside)
            data = os.urandom(16 * MEGABYTE)
            writer.write(data)
            writer.write_eof()
            assert await reader.read() == f"{len(data)} {hashlib.sha256(data).hexdigest()}".encode()
            writer.close()

    in_time(test)


def test_a_reader_that_stops_stops_the_sender() -> None:
    async def test() -> None:
        outside = free_address()
        connected = asyncio.Event()

        async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            connected.set()

        async with network({outside: (POD_IP, 5000)}) as inside:
            await listen(inside, 5000, never_read)
            with socket.create_connection(outside) as client:
                await connected.wait()
                client.setblocking(False)
                sent, chunk = 0, bytes(MEGABYTE)
                with pytest.raises(TimeoutError):
                    while sent < 256 * MEGABYTE:
                        async with asyncio.timeout(0.5):
                            await asyncio.get_running_loop().sock_sendall(client, chunk)
                        sent += len(chunk)
                assert sent < 64 * MEGABYTE  # what sockets on the way may hold

    in_time(test)


def test_a_connection_to_a_port_on_which_nothing_listens_is_reset() -> None:
    async def test() -> None:
        outside = free_address()
        async with network({outside: (POD_IP, 5000)}):
            with pytest.raises(ConnectionResetError):  # by connect or by read: whichever comes first
                reader, _ = await asyncio.open_connection(*outside)
                await reader.read()

    in_time(test)


def test_a_connection_that_the_pod_resets_is_reset_outside() -> None:
    async def test() -> None:
        outside = free_address()

        async def reset(_: Any, writer: asyncio.StreamWriter) -> None:
            made = writer.get_extra_info("socket")
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()

        async with network({outside: (POD_IP, 5000)}) as inside:
            await listen(inside, 5000, reset)
            with pytest.raises(ConnectionResetError):  # by connect or by read: whichever comes first
                reader, _ = await asyncio.open_connection(*outside)
                await reader.read()

    in_time(test)


def test_the_way_out_leads_to_the_given_address_and_nowhere_else() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(echo_after_the_end, "127.0.0.1", 0)
        cloud = server.sockets[0].getsockname()
        async with network(egress={CLOUD: cloud}) as inside:
            out = await inside.socket()
            await loop.sock_connect(out, CLOUD)
            await loop.sock_sendall(out, b"hello")
            out.shutdown(socket.SHUT_WR)
            assert (await loop.sock_recv(out, 100)).startswith(b"5 ")
            for address, code in ((cloud, errno.ECONNREFUSED), (("192.0.2.1", 80), errno.ENETUNREACH)):
                with pytest.raises(OSError) as raised:
                    await loop.sock_connect(await inside.socket(), address)
                assert raised.value.errno == code

    in_time(test)


def test_an_address_that_is_taken_is_named() -> None:
    async def test() -> None:
        with socket.create_server(free_address()) as taken:
            address = taken.getsockname()
            with pytest.raises(PodNetworkError, match=rf"can't listen on {address[0]}:{address[1]}: Address already"):
                async with network({address: (POD_IP, 5000)}):
                    pass

    in_time(test)


def test_a_closed_network_listens_no_more_and_its_process_has_ended() -> None:
    async def test() -> None:
        outside = free_address()
        async with network({outside: (POD_IP, 5000)}) as inside:
            pass
        assert inside.process.returncode == 0
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*outside)
        with pytest.raises(PodNetworkError):
            await inside.socket()

    in_time(test)
