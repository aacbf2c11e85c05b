"""The node's network and the API server's way into it: real namespaces, no kubelet."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.node import node_tunnel, rtnetlink
from sandbox.node.node_network import NodeNetwork
from sandbox.node.pod_network import PodNetwork
from sandbox.node.runtime import namespaces as ns
from tests import networks
from tests.sandbox.node.node_sandbox import PROJECT
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.sandbox

NODE_IP, POD_IP, PODS = "10.0.0.1", f"10.{networks.PODS}.2.1", f"10.{networks.PODS}.0.0/16"
PORT, OTHER_PORT = 5000, 5001
NOWHERE = "192.0.2.1"
ITSELF = "IN_A_USER_NAMESPACE"
"""Set in the process that a test runs in."""


@dataclass
class Both:
    """A node and one pod that is attached to it, and declares `PORT`."""

    node: NodeNetwork
    pod: PodNetwork
    api_server: asyncio.Server


@asynccontextmanager
async def node_and_pod() -> AsyncIterator[Both]:
    address = f"127.{networks.PODS}.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
    api_server = await asyncio.start_server(greet, address, 0)
    there = api_server.sockets[0].getsockname()
    node = await NodeNetwork.open(hostname="node", address=NODE_IP, api_server=there, pod_network=PODS)
    pod = await PodNetwork.open(hostname="web", addresses=[POD_IP], ports={}, egress={})
    attachment = await node.attach(POD_IP, pod, [PORT])
    try:
        yield Both(node, pod, api_server)
    finally:
        attachment.close()
        await pod.close()
        await node.close()
        api_server.close()


def in_time(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it as the node does all: in a process whose user namespace has it for root.

    It is a process of its own that runs this one test again: a fork of this one, in which other tests have used gRPC,
    has gRPC's threads, and so no user namespace can be made there.
    """
    if ITSELF not in os.environ:
        name = os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0]
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--numprocesses=0", "--quiet", name]
        environment = os.environ | {ITSELF: "1"}
        done = subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr
        return

    async def limited() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await test()

    ns.new_user_namespace(0, 0)
    asyncio.run(limited())


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    writer.close()


async def listen(inside: NodeNetwork | PodNetwork, port: int) -> asyncio.Server:
    listener = await inside.socket()
    listener.bind(("0.0.0.0", port))
    return await asyncio.start_server(greet, sock=listener)


async def answer(inside: NodeNetwork | PodNetwork, address: str, port: int) -> bytes:
    """What comes from there. Raises OSError."""
    loop = asyncio.get_running_loop()
    with await inside.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, (address, port))
        return await loop.sock_recv(client, 100)


async def refusal(inside: NodeNetwork | PodNetwork, address: str, port: int) -> int | None:
    with pytest.raises(OSError) as raised:
        await answer(inside, address, port)
    return raised.value.errno


def test_node_and_pod_reach_one_another_on_every_port() -> None:
    async def test() -> None:
        async with node_and_pod() as both:
            await listen(both.pod, PORT)
            await listen(both.pod, OTHER_PORT)
            await listen(both.node, OTHER_PORT)
            assert await answer(both.node, POD_IP, PORT) == b"hello"
            assert await answer(both.node, POD_IP, OTHER_PORT) == b"hello"
            assert await answer(both.pod, NODE_IP, OTHER_PORT) == b"hello"

    in_time(test)


def test_the_node_reaches_the_api_server_and_nothing_else_of_the_machine() -> None:
    async def test() -> None:
        async with node_and_pod() as both:
            address, port = both.api_server.sockets[0].getsockname()
            assert await answer(both.node, address, port) == b"hello"
            other = await asyncio.start_server(greet, address, 0)
            assert await refusal(both.node, *other.sockets[0].getsockname()) == errno.ECONNREFUSED
            other.close()
            assert await refusal(both.node, NOWHERE, PORT) == errno.ENETUNREACH
            assert await refusal(both.pod, NOWHERE, PORT) == errno.ENETUNREACH

    in_time(test)


def test_without_veth_devices_the_node_reaches_the_ports_that_a_pod_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(rtnetlink, "add_veth", unsupported)

    async def test() -> None:
        async with node_and_pod() as both:
            await listen(both.pod, PORT)
            await listen(both.pod, OTHER_PORT)
            assert await answer(both.node, POD_IP, PORT) == b"hello"
            assert await refusal(both.node, POD_IP, OTHER_PORT) == errno.ECONNREFUSED

    in_time(test)


def test_what_goes_wrong_with_a_device_is_told_with_the_kernels_words() -> None:
    async def test() -> None:
        async with node_and_pod() as both:
            with pytest.raises(FileExistsError, match="File exists"):
                await both.node.attach(POD_IP, both.pod, [PORT])

    in_time(test)


@asynccontextmanager
async def tunnel(node: NodeNetwork, path: Path) -> AsyncIterator[None]:
    serving = asyncio.create_task(node_tunnel.serve(path, node))
    while not path.exists():
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        serving.cancel()


async def through(path: Path, request: str) -> bytes:
    """All that the tunnel answers to a request."""
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
            break
        except ConnectionRefusedError:  # its file is there a moment before it listens
            await asyncio.sleep(0.01)
    writer.write(request.encode())
    answered = await reader.read()
    writer.close()
    return answered


def test_the_tunnel_leads_to_the_nodes_own_ports_and_says_why_it_does_not(tmp_path: Path) -> None:
    async def test() -> None:
        async with node_and_pod() as both:
            await listen(both.node, OTHER_PORT)
            path = tmp_path / "s"
            async with tunnel(both.node, path):
                assert path.stat().st_mode & 0o077 == 0
                connect = f"CONNECT {NODE_IP}:{OTHER_PORT} HTTP/1.1\r\nHost: {NODE_IP}\r\n\r\n"
                assert await through(path, connect) == b"HTTP/1.1 200 Connection established\r\n\r\nhello"
                refused = await through(path, f"CONNECT {NODE_IP}:{PORT} HTTP/1.1\r\n\r\n")
                assert refused.startswith(b"HTTP/1.1 502 [Errno 111] ")
                unreachable = await through(path, f"CONNECT {NOWHERE}:80 HTTP/1.1\r\n\r\n")
                assert unreachable == b"HTTP/1.1 502 [Errno 101] Network is unreachable\r\n\r\n"
                assert await through(path, "GET / HTTP/1.1\r\n\r\n") == b"HTTP/1.1 400 Bad Request\r\n\r\n"

    in_time(test)


def test_a_socket_of_a_node_whose_network_has_ended_is_an_error_that_the_tunnel_tells(tmp_path: Path) -> None:
    async def test() -> None:
        node = await NodeNetwork.open(hostname="node", address=NODE_IP, api_server=("127.0.0.1", 1), pod_network=PODS)
        path = tmp_path / "s"
        async with tunnel(node, path):
            await node.close()
            answered = await through(path, f"CONNECT {NODE_IP}:{PORT} HTTP/1.1\r\n\r\n")
            assert answered.startswith(b"HTTP/1.1 502 pod sandbox: ")

    in_time(test)
