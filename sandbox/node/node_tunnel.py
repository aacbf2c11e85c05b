"""The way from the API server into the node's network: an HTTP CONNECT proxy on a Unix socket.

The API server has its side of it built in (`EgressSelectorConfiguration`): it is how control planes reach nodes that
are in another network.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

from sandbox.node.node_network import NodeNetwork
from sandbox.node.pod_network import PodNetworkError
from sandbox.node.relays import join

LONGEST_HEAD = 16 * 1024
END_OF_HEAD = b"\r\n\r\n"


async def serve(path: Path, network: NodeNetwork) -> None:
    """Serve at `path` (at most 107 bytes), for this user only, until cancelled."""
    loop = asyncio.get_running_loop()
    path.unlink(missing_ok=True)
    connections: set[asyncio.Task[None]] = set()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(128)
        listener.setblocking(False)
        while True:
            client, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(_connect(client, network))
            connections.add(task)
            task.add_done_callback(connections.discard)


async def _connect(client: socket.socket, network: NodeNetwork) -> None:
    """Read a CONNECT request, connect inside of the node's network, and copy both ways."""
    loop = asyncio.get_running_loop()
    client.setblocking(False)
    with client, contextlib.suppress(OSError):
        target = _target(await _head(client))
        if not target:
            return await loop.sock_sendall(client, b"HTTP/1.1 400 Bad Request\r\n\r\n")
        try:
            server = await network.socket()
        except PodNetworkError as error:
            return await _refuse(client, error)
        with server:
            try:
                await loop.sock_connect(server, target)
            except OSError as error:
                return await _refuse(client, error)
            await loop.sock_sendall(client, b"HTTP/1.1 200 Connection established\r\n\r\n")
            await join(client, server)


async def _head(client: socket.socket) -> bytes:
    head = b""
    while not head.endswith(END_OF_HEAD) and len(head) < LONGEST_HEAD:
        chunk = await asyncio.get_running_loop().sock_recv(client, 4096)
        if not chunk:
            return b""
        head += chunk
    return head


def _target(head: bytes) -> tuple[str, int] | None:
    """Return address and port of a CONNECT request, None if it is none; the client sends nothing before the answer."""
    method, _, rest = head.partition(b" ")
    host, _, port = rest.partition(b" ")[0].decode("ascii", "replace").rpartition(":")
    if method != b"CONNECT" or not port.isdigit():
        return None
    return host, int(port)


async def _refuse(client: socket.socket, error: Exception) -> None:
    answer = f"HTTP/1.1 502 {error}".replace("\n", " ")
    await asyncio.get_running_loop().sock_sendall(client, f"{answer}\r\n\r\n".encode())
