"""A pod's relays under NetworkPolicies: real network namespaces, no kubelet; the rules are those of real policies."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from sandbox.connection_marks import mark
from sandbox.layout import Layout
from sandbox.node.network_policy.host_addresses import on_the_host
from sandbox.node.network_policy.rules import Rules
from sandbox.node.pod_network import PodNetwork, PodNetworkError
from tests import networks
from tests.sandbox.node.network_policy.resources import policy, rules
from tests.sandbox.node.test_pod_network import POD_IP, free_address, in_time, listen, network

pytestmark = pytest.mark.sandbox

LAYOUT = Layout(network=networks.PODS)
PORT, OTHER_PORT = 5000, 5001
NODE = LAYOUT.node_address
PEER = f"127.{networks.PODS}.7.7"
"""A pod, as the machine sees it: the relay by which it comes has looked at the rules."""
ELSEWHERE = "127.0.0.1"


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    writer.close()


async def begin(target: tuple[str, int], source: str = ELSEWHERE, inside: PodNetwork | None = None) -> asyncio.Task:
    """A connection begun: what it is greeted with."""
    client = await inside.socket() if inside else socket.socket()
    if not inside:
        client.bind((source, 0))
    if source in (NODE, PEER):
        mark(client)
    client.setblocking(False)
    sending = asyncio.Event()

    async def answer() -> bytes:
        with client:
            connecting = asyncio.create_task(asyncio.get_running_loop().sock_connect(client, target))
            await asyncio.sleep(0)  # its first packet is under way, and on loopback has come
            sending.set()
            await connecting
            return await asyncio.get_running_loop().sock_recv(client, 100)

    task = asyncio.create_task(answer())
    await sending.wait()
    return task


def enforced(spec: dict[str, Any] | None) -> Rules:
    return on_the_host(rules(policy(**spec)) if spec is not None else Rules(), LAYOUT)


def test_a_port_that_no_policy_names_is_closed_to_all_but_node_and_pods_and_opens_again() -> None:
    async def test() -> None:
        one, other = free_address(), free_address()
        async with network({one: (POD_IP, PORT), other: (POD_IP, OTHER_PORT)}) as inside:
            for port in (PORT, OTHER_PORT):
                await listen(inside, port, greet)
            for address in (one, other):
                assert await (await begin(address)) == b"hello"
            await inside.enforce(enforced({"ingress": [{"ports": [{"port": PORT}]}]}))
            await inside.socket()  # by then it has heard of the rules
            denied = await begin(other)
            for address, source in ((one, ELSEWHERE), (one, PEER), (other, PEER), (one, NODE), (other, NODE)):
                assert await (await begin(address, source)) == b"hello"
            assert not denied.done()
            await inside.enforce(enforced(None))
            assert await denied == b"hello"  # dropped, not refused: it has tried on

    in_time(test)


def test_of_those_who_are_not_of_the_sandbox_some_are_let_in_and_the_others_get_no_answer() -> None:
    async def test() -> None:
        outside = free_address()
        async with network({outside: (POD_IP, PORT)}) as inside:
            await listen(inside, PORT, greet)
            await inside.enforce(enforced({"ingress": [{"from": [{"ipBlock": {"cidr": "127.0.0.8/29"}}]}]}))
            await inside.socket()
            silent = await begin(outside)
            for source in ("127.0.0.9", NODE):
                assert await (await begin(outside, source)) == b"hello"
            assert not silent.done()
            silent.cancel()

    in_time(test)


def test_the_way_out_is_closed_to_all_but_what_the_policy_names_and_opens_again() -> None:
    async def test() -> None:
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        outside: tuple[str, int] = server.sockets[0].getsockname()
        one, port, address = ("192.0.2.1", 80), ("192.0.2.1", 81), ("192.0.2.2", 80)
        made = await PodNetwork.open(
            hostname="web",
            addresses=[POD_IP, one[0], address[0]],
            ports={},
            egress=dict.fromkeys((one, port, address), outside),
        )
        rule = {"to": [{"ipBlock": {"cidr": "192.0.2.1/32"}}], "ports": [{"port": 80}]}
        await made.enforce(enforced({"policyTypes": ["Egress"], "egress": [rule]}))
        denied = [await begin(target, inside=made) for target in (port, address)]
        assert await (await begin(one, inside=made)) == b"hello"
        assert not any(task.done() for task in denied)
        await made.enforce(enforced({"policyTypes": ["Egress"], "egress": [{}]}))
        assert await asyncio.gather(*denied) == [b"hello"] * 2
        await made.close()
        server.close()

    in_time(test)


def test_who_is_connected_stays_so_when_the_port_is_closed() -> None:
    async def test() -> None:
        outside = free_address()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(100):
                writer.write(data)

        async with network({outside: (POD_IP, PORT)}) as inside:
            await listen(inside, PORT, echo)
            reader, writer = await asyncio.open_connection(*outside)
            writer.write(b"1")
            assert await reader.read(1) == b"1"
            await inside.enforce(enforced({}))
            await inside.socket()
            writer.write(b"2")
            assert await reader.read(1) == b"2"
            writer.close()

    in_time(test)


def test_a_network_that_has_ended_takes_no_rules() -> None:
    async def test() -> None:
        async with network() as inside:
            pass
        with pytest.raises(PodNetworkError, match="pod sandbox: "):
            await inside.enforce(Rules())

    in_time(test)
