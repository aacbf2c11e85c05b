"""Keeps the pods of a node to the NetworkPolicies that the API server has, as these, pods and namespaces change."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from kubernetes_asyncio import client

from sandbox import watching
from sandbox.layout import Layout
from sandbox.node.neighbours import Ways
from sandbox.node.network_policy.address_ranges import contains
from sandbox.node.network_policy.decisions import ClusterState
from sandbox.node.network_policy.host_addresses import on_the_host
from sandbox.node.network_policy.rules import Rules
from sandbox.watching import Resources

log = logging.getLogger(__name__)


class Network(Protocol):
    """A pod's network."""

    async def enforce(self, rules: Rules) -> None:
        """Have new connections keep to `rules`."""
        ...


class WaysOut(Protocol):
    """A pod's ways to other pods."""

    async def follow(self, rules: Rules, ways: Ways) -> None:
        """Have `ways` for all that there are, and the pod keep to its own `rules`."""
        ...


@dataclass(frozen=True)
class Attached:
    """A pod on this node."""

    uid: str
    ip: str
    ports: tuple[int, ...]
    """On which other pods reach it, if policies let them."""
    neighbours: WaysOut | None
    """None where it has no ways to other pods."""


class Enforcement:
    """Tells the network of each pod its rules and its ways to the others, also when they change: within a second."""

    def __init__(self, layout: Layout) -> None:
        """Follow the API server of `layout`, as its administrator."""
        self._layout = layout
        self._stirred = asyncio.Event()
        self.policies, self.pods, self.namespaces = (Resources(self._stirred.set) for _ in range(3))
        self._networks: dict[Network, Attached] = {}
        self._rules: dict[Network, Rules] = {}
        self._told: dict[Network, tuple[Rules, Ways]] = {}
        self._telling = asyncio.Lock()

    async def attach(self, pod: Attached, network: Network) -> None:
        """Keep `network` to what is said of `pod`.

        What is known of it now it keeps to when this returns. A pod that has come before the news of it is open
        until these arrive, as with the VPC's network plugin.
        """
        self._networks[network] = pod
        self._stirred.set()  # for its neighbours
        async with self._telling:
            await self._tell(network)

    def detach(self, network: Network) -> None:
        """Let go of a network that ends."""
        for known in (self._networks, self._rules, self._told):
            known.pop(network, None)
        self._stirred.set()

    async def run(self) -> None:
        """Follow the API server until cancelled."""
        async with asyncio.TaskGroup() as group:
            for resources, listing in (
                (self.policies, lambda api: client.NetworkingV1Api(api).list_network_policy_for_all_namespaces),
                (self.pods, lambda api: client.CoreV1Api(api).list_pod_for_all_namespaces),
                (self.namespaces, lambda api: client.CoreV1Api(api).list_namespace),
            ):
                group.create_task(watching.follow(resources, self._layout.kubeconfig, listing))
            while True:
                await self._stirred.wait()
                self._stirred.clear()
                async with self._telling:
                    await self._tell(*self._networks)

    async def _tell(self, *networks: Network) -> None:
        """Tell `networks` what is new to them."""
        if not (self.policies.are_known and self.pods.are_known and self.namespaces.are_known):
            return
        state = ClusterState(self.policies.all(), self.pods.all(), self.namespaces.all())
        pods = {pod["metadata"]["uid"]: pod for pod in state.pods}
        for network, attached in self._networks.items():
            if pod := pods.get(attached.uid):  # else not heard of yet; or deleted, and ending under its last rules
                self._rules[network] = state.rules_of(pod)
        for network in networks:
            if not (attached := self._networks.get(network)):
                continue
            rules, ways = self._rules.get(network, Rules()), self._ways(network)
            former_rules, former_ways = self._told.get(network, (Rules(), {}))
            self._told[network] = (rules, ways)
            try:
                on_host = on_the_host(rules, self._layout)
                if on_host != on_the_host(former_rules, self._layout):
                    await network.enforce(on_host)
                if attached.neighbours and (rules, ways) != (former_rules, former_ways):
                    await attached.neighbours.follow(rules, ways)
            except Exception as error:  # its process has ended, which the kubelet will notice
                log.warning("the pod at %s can't be told its rules: %s", attached.ip, error)

    def _ways(self, network: Network) -> Ways:
        """Return the ways from the pod of `network` to the others."""
        ip = self._networks[network].ip
        return {
            (other.ip, port): contains(self._rules.get(each, Rules()).sources("TCP", port), ip)
            for each, other in self._networks.items()
            if each is not network
            for port in other.ports
        }
