"""The node's own network: a namespace in which the kubelet lives, and from which it reaches pods and nothing else.

Pods' addresses are no addresses of the machine: a probe sent from the machine's own namespace would leave it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from sandbox.node import rtnetlink
from sandbox.node.neighbours import Neighbours
from sandbox.node.pod_network import NAMESPACE_FILES, PodNetwork
from sandbox.node.relays import Address, accept, listen
from sandbox.node.runtime import namespaces as ns

NETWORK_NAMESPACE = NAMESPACE_FILES.index("net")
NO_VETH = (errno.EOPNOTSUPP, errno.ENODEV, errno.ENOENT)
"""What a kernel without veth devices answers."""
DEVICE_IN_POD = "eth0"
NEIGHBOURS_TABLE = 100
"""Of routes, for what comes from pods."""

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass
class Attachment:
    """What connects the node with one pod, beside devices, which go with the pod's namespace."""

    relays: list[tuple[socket.socket, asyncio.Task[None]]] = field(default_factory=list)
    neighbours: Neighbours | None = None
    """The pod's ways to other pods; None where the kernel has no veth."""

    def close(self) -> None:
        """End the relays."""
        if self.neighbours:
            self.neighbours.close()
        for listener, task in self.relays:
            task.cancel()
            listener.close()


class NodeNetwork:
    """The network of the node, until `close`."""

    def __init__(self, network: PodNetwork, address: str, pod_network: str) -> None:
        """Use `open`."""
        self._network = network
        self._pod_network = pod_network
        self._address = address
        self._thread = ThreadPoolExecutor(1, initializer=lambda: ns.setns(self.namespace))
        self._relayed = 0

    @classmethod
    async def open(cls, *, hostname: str, address: str, api_server: Address, pod_network: str) -> NodeNetwork:
        """Make the network of a node that has `address`; of the machine it reaches `api_server` only.

        Pods have their addresses of `pod_network`. Raises PodNetworkError, OSError.
        """
        egress = {api_server: api_server}
        network = await PodNetwork.open(hostname=hostname, addresses=[address], ports={}, egress=egress)
        made = cls(network, address, pod_network)
        await made._run(lambda: rtnetlink.add_local_network(pod_network, NEIGHBOURS_TABLE))
        return made

    @property
    def namespace(self) -> int:
        """The file descriptor of its network namespace."""
        return self._network.namespaces[NETWORK_NAMESPACE]

    async def socket(self) -> socket.socket:
        """Return a TCP socket, not yet connected, on the node. Raises PodNetworkError if its network is gone."""
        return await self._network.socket()

    async def attach(self, pod_ip: str, pod: PodNetwork, ports: Sequence[int]) -> Attachment:
        """Let node and pod reach one another; where the kernel has no veth, let the node reach the pod's `ports`.

        Raises OSError.
        """
        name = "veth" + socket.inet_aton(pod_ip).hex()
        pod_namespace = pod.namespaces[NETWORK_NAMESPACE]
        try:
            await self._run(lambda: rtnetlink.add_veth(name, DEVICE_IN_POD, pod_namespace))
        except OSError as error:
            if error.errno not in NO_VETH:
                raise
            log.warning("no veth devices (%s): probes reach only the ports that pods declare", error)
            return await self._relay(pod_ip, pod, ports)

        def in_pod() -> None:
            ns.setns(pod_namespace)
            rtnetlink.set_up(DEVICE_IN_POD)
            rtnetlink.add_route(self._address, DEVICE_IN_POD, pod_ip)
            rtnetlink.add_route(self._pod_network, DEVICE_IN_POD, pod_ip)

        def on_node() -> bool:
            rtnetlink.set_up(name)
            rtnetlink.add_route(pod_ip, name, self._address)
            try:
                rtnetlink.add_rule(name, NEIGHBOURS_TABLE)
            except OSError as error:
                log.warning("no rules for routes (%s): pods do not reach one another", error)
                return False
            return True

        with ThreadPoolExecutor(1) as thread:
            await asyncio.get_running_loop().run_in_executor(thread, in_pod)
        has_ways = await self._run(on_node)
        return Attachment(neighbours=Neighbours(pod_ip, name, self._run) if has_ways else None)

    async def _relay(self, pod_ip: str, pod: PodNetwork, ports: Sequence[int]) -> Attachment:
        self._relayed += 1
        label = f"lo:p{self._relayed}"
        await self._run(lambda: rtnetlink.add_address(pod_ip, label))
        attachment, connections = Attachment(), set[asyncio.Task[None]]()
        for port in ports:
            address = (pod_ip, port)
            listener = await self._run(lambda address=address: listen(address))
            task = asyncio.create_task(accept(listener, address, pod.socket, connections))
            attachment.relays.append((listener, task))
        return attachment

    async def _run(self, call: Callable[[], T]) -> T:
        """Call it in a thread that is in the node's namespace."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def close(self) -> None:
        """End it, with all that reaches pods."""
        self._thread.shutdown()
        with contextlib.suppress(OSError):
            await self._network.close()
