"""Relays of TCP connections between network namespaces: what ends or breaks on one side, does the same on the other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable

BUFFER = 256 * 1024
"""Bytes held at most per connection and direction."""

Address = tuple[str, int]


def listen(address: Address) -> socket.socket:
    """Return a listener on `address`. Raises OSError that names it."""
    try:
        listener = socket.create_server(address, backlog=512)
    except OSError as error:
        raise OSError(error.errno, f"can't listen on {address[0]}:{address[1]}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


async def accept(
    listener: socket.socket,
    target: Address,
    make_socket: Callable[[], Awaitable[socket.socket]],
    connections: set[asyncio.Task[None]],
    admits: Callable[[socket.socket, str], bool] = lambda _listener, _source: True,
) -> None:
    """Relay each connection to `listener` on a connection of its own to `target`.

    Those of whom `admits`, called with `listener` and the client's address, says no are never answered.
    """
    loop = asyncio.get_running_loop()
    while True:
        try:
            client, (source, *_) = await loop.sock_accept(listener)
        except OSError:  # out of file descriptors, or the client has gone already
            await asyncio.sleep(0.01)
            continue
        task = asyncio.create_task(relay(client, target, make_socket) if admits(listener, source) else _ignore(client))
        connections.add(task)
        task.add_done_callback(connections.discard)


async def relay(client: socket.socket, target: Address, make_socket: Callable[[], Awaitable[socket.socket]]) -> None:
    """Connect to `target` and copy both ways."""
    loop = asyncio.get_running_loop()
    client.setblocking(False)
    with client, await make_socket() as server:
        server.setblocking(False)
        try:
            await loop.sock_connect(server, target)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            _reset(client)
            return
        await join(client, server)


async def _ignore(client: socket.socket) -> None:
    """Take what comes, and answer nothing, until the client gives up."""
    client.setblocking(False)
    with client, contextlib.suppress(OSError):
        while await asyncio.get_running_loop().sock_recv(client, BUFFER):
            pass


async def join(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until both sides have ended, or one breaks."""
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(one, other))
            both.create_task(_copy(other, one))
    except* OSError:
        for each in (one, other):
            _reset(each)


def _reset(side: socket.socket) -> None:
    """Have closing reset the connection instead of ending it in order."""
    if side.family == socket.AF_INET:
        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy until `source` ends, then end `target` in this direction. Reads no more before all is written."""
    loop = asyncio.get_running_loop()
    buffer = memoryview(bytearray(BUFFER))
    while size := await loop.sock_recv_into(source, buffer):
        await loop.sock_sendall(target, buffer[:size])
    target.shutdown(socket.SHUT_WR)
