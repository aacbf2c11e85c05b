"""Pods that reach one another, under NetworkPolicies: real namespaces, no kubelet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.layout import Layout
from sandbox.node.neighbours import Neighbours
from sandbox.node.network_policy.host_addresses import on_the_host
from sandbox.node.network_policy.rules import Rules
from sandbox.node.node_network import NodeNetwork
from sandbox.node.pod_network import PodNetwork
from tests import networks
from tests.sandbox.node.network_policy.resources import policy, rules
from tests.sandbox.node.test_node_network import NODE_IP, PODS, answer, in_time

pytestmark = pytest.mark.sandbox

LAYOUT = Layout(network=networks.PODS)
CLIENT, SERVER = (f"10.{networks.PODS}.200.{number}" for number in (1, 2))
PORT, OTHER_PORT = 5000, 5001


@dataclass
class Pods:
    """A pod that reaches another, which answers on two ports; the client answers on the first of them as well."""

    client: PodNetwork
    server: PodNetwork
    neighbours: Neighbours
    node: NodeNetwork


@asynccontextmanager
async def pods() -> AsyncIterator[Pods]:
    node = await NodeNetwork.open(hostname="node", address=NODE_IP, api_server=("127.0.0.1", 1), pod_network=PODS)
    client = await PodNetwork.open(hostname="client", addresses=[CLIENT], ports={}, egress={})
    ports = {(LAYOUT.loopback_of(SERVER), port): (SERVER, port) for port in (PORT, OTHER_PORT)}
    server = await PodNetwork.open(hostname="server", addresses=[SERVER], ports=ports, egress={})
    attachments = [
        await node.attach(CLIENT, client, []),
        await node.attach(SERVER, server, [*(port for _, port in ports)]),
    ]
    for inside, port, text in ((client, PORT, b"client"), (server, PORT, b"server"), (server, OTHER_PORT, b"other")):
        await _serve(inside, port, text)
    neighbours = attachments[0].neighbours
    assert neighbours
    try:
        yield Pods(client, server, neighbours, node)
    finally:
        for attachment in attachments:
            attachment.close()
        for each in (client, server, node):
            await each.close()


async def _serve(inside: PodNetwork, port: int, text: bytes) -> None:
    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        writer.close()

    listener = await inside.socket()
    listener.bind(("0.0.0.0", port))
    await asyncio.start_server(tell, sock=listener)


def said(**spec: Any) -> Rules:
    return rules(policy(**spec))


def test_a_pod_reaches_the_ports_of_another_also_those_on_which_it_listens_itself() -> None:
    async def test() -> None:
        async with pods() as made:
            await made.neighbours.follow(Rules(), {(SERVER, PORT): True, (SERVER, OTHER_PORT): True})
            assert await answer(made.client, SERVER, PORT) == b"server"
            assert await answer(made.client, SERVER, OTHER_PORT) == b"other"
            assert await answer(made.client, CLIENT, PORT) == b"client"
            assert await answer(made.node, SERVER, PORT) == b"server"

    in_time(test)


@pytest.mark.parametrize("by_itself", [True, False])
def test_a_way_that_a_policy_of_either_pod_closes_drops_what_is_sent_until_it_is_open_again(by_itself: bool) -> None:
    async def test() -> None:
        async with pods() as made:
            out = {"to": [{"ipBlock": {"cidr": f"{SERVER}/32"}}], "ports": [{"port": PORT}]}
            own = said(policyTypes=["Egress"], egress=[out]) if by_itself else Rules()
            await made.neighbours.follow(own, {(SERVER, PORT): True, (SERVER, OTHER_PORT): by_itself})
            denied = asyncio.create_task(answer(made.client, SERVER, OTHER_PORT))
            assert await answer(made.client, SERVER, PORT) == b"server"
            assert not denied.done()
            await made.neighbours.follow(Rules(), {(SERVER, PORT): True, (SERVER, OTHER_PORT): True})
            assert await denied == b"other"

    in_time(test)


def test_what_a_way_lets_through_passes_the_relay_of_a_pod_that_is_closed_to_all_others() -> None:
    async def test() -> None:
        async with pods() as made:
            await made.server.enforce(on_the_host(said(), LAYOUT))
            await made.neighbours.follow(Rules(), {(SERVER, PORT): True})
            assert await answer(made.client, SERVER, PORT) == b"server"

    in_time(test)


def test_a_pod_that_is_gone_answers_no_more() -> None:
    async def test() -> None:
        async with pods() as made:
            await made.neighbours.follow(Rules(), {(SERVER, PORT): True, (SERVER, OTHER_PORT): True})
            await made.neighbours.follow(Rules(), {(SERVER, OTHER_PORT): True})
            asking = asyncio.create_task(answer(made.client, SERVER, PORT))
            assert await answer(made.client, SERVER, OTHER_PORT) == b"other"
            assert not asking.done()
            asking.cancel()

    in_time(test)
