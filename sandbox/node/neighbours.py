"""The ways from a pod to the others of its node: relays in the node's network, one for each port that they declare.

What a pod sends to an address of the pods' network comes to the node by the pod's own device, and there to a listener
that has taken that address for this device alone. So each way has a gate of its own, before a connection is made.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.connection_marks import mark
from sandbox.layout import Layout
from sandbox.node.network_policy.gates import Gates
from sandbox.node.network_policy.rules import Rules
from sandbox.node.relays import Address, accept

IP_TRANSPARENT = 19
"""Of <linux/in.h>: to have an address that is none of one's own."""

Ways = Mapping[Address, bool]
"""Addresses and ports of other pods, and whether that pod lets this one in."""


@dataclass
class _Way:
    listener: socket.socket
    acceptor: asyncio.Task[None]


class Neighbours:
    """The pods that one pod reaches."""

    def __init__(self, ip: str, device: str, on_node: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        """`ip` is the pod's address, `device` leads to it; `on_node` has its argument called in the node's network."""
        self._source = Layout.loopback_of(ip)
        self._device = device
        self._on_node = on_node
        self._gates = Gates()
        self._connections: set[asyncio.Task[None]] = set()
        self._ways: dict[Address, _Way] = {}
        self._lock = asyncio.Lock()

    async def follow(self, rules: Rules, ways: Ways) -> None:
        """Have `ways` for all that there are, and the pod keep to its own `rules` of what it may reach.

        Raises OSError.
        """
        async with self._lock:
            self._gates.keep_to(rules)
            for address in self._ways.keys() - ways.keys():
                self._close(address)
            for address, admitted in ways.items():
                if address not in self._ways:
                    listener = await self._on_node(lambda address=address: self._listen(address))
                    self._ways[address] = _Way(listener, asyncio.create_task(self._relay(listener, address)))
                self._gates.guard_egress(self._ways[address].listener, *address, admitted=admitted)

    def _listen(self, address: Address) -> socket.socket:
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._device.encode())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
            listener.setblocking(False)
            listener.bind(address)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        return listener

    async def _relay(self, listener: socket.socket, address: Address) -> None:
        target = (Layout.loopback_of(address[0]), address[1])
        await accept(listener, target, self._socket, self._connections, self._gates.admits)

    async def _socket(self) -> socket.socket:
        """Return one by which the other pod's relay knows who comes."""
        made = socket.socket()
        try:
            made.bind((self._source, 0))
            mark(made)
        except OSError:
            made.close()
            raise
        return made

    def _close(self, address: Address) -> None:
        way = self._ways.pop(address)
        way.acceptor.cancel()
        self._gates.forget(way.listener)
        way.listener.close()

    def close(self) -> None:
        """End all ways."""
        for address in list(self._ways):
            self._close(address)
