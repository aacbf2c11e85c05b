"""Which pod's network is told which rules, and when; the API server's news come by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from sandbox import watching
from sandbox.layout import Layout
from sandbox.node.neighbours import Ways
from sandbox.node.network_policy.address_ranges import NOBODY, Ranges, block
from sandbox.node.network_policy.enforcement import Attached, Enforcement
from sandbox.node.network_policy.rules import Rule, Rules
from tests.sandbox.node.network_policy.resources import CLIENT, DB, NAMESPACES, PODS, WEB, pod, policy
from tests.waiting import PATIENCE_SECONDS

LAYOUT = Layout(network=9)
MARKED = ((2131296258, 2131296258), (2131296512, 2131361791))  # 127.9.0.2, and 127.9.1.0 to 127.9.255.255
DENY_ALL = policy("deny", podSelector={}, policyTypes=["Ingress"])
CLIENTS = policy("clients", ingress=[{"from": [{"ipBlock": {"cidr": "127.0.0.8/29"}}]}])


def isolated(*sources: Ranges) -> Rules:
    """What the relay of an isolated pod is told, which lets in `sources`."""
    return Rules((Rule(MARKED), *map(Rule, sources)), marked=MARKED)


class Network:
    """A pod's network, and its ways to others, which are told rules."""

    def __init__(self) -> None:
        self.told: list[Rules] = []
        self.ways: dict[tuple[str, int], bool] = {}
        self.own_rules = Rules()

    async def enforce(self, rules: Rules) -> None:
        self.told.append(rules)

    async def follow(self, rules: Rules, ways: Ways) -> None:
        self.own_rules, self.ways = rules, dict(ways)

    def of(self, name: str, ip: str, *ports: int) -> Attached:
        return Attached(f"uid-{name}", ip, ports, self)


class GoneNetwork(Network):
    async def enforce(self, rules: Rules) -> None:
        await super().enforce(rules)
        raise OSError("it has ended")


@contextmanager
def by_hand() -> Iterator[None]:
    """In place of the API server: tests tell the news."""

    async def follow(*_: Any) -> None:
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "follow", follow)
        yield


@asynccontextmanager
async def running(*policies: dict[str, Any]) -> AsyncIterator[Enforcement]:
    with by_hand():
        enforcement = Enforcement(LAYOUT)
        task = asyncio.create_task(enforcement.run())
        enforcement.namespaces.replace(NAMESPACES)
        enforcement.pods.replace(PODS)
        enforcement.policies.replace(list(policies))
        yield enforcement
        assert not task.done()
        task.cancel()


async def told(network: Network, *rules: Rules) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while network.told[-1:] != [rules[-1]]:
            await asyncio.sleep(0.01)
    assert network.told == [*rules]


async def has(network: Network, ways: Ways) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while network.ways != ways:
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_a_pod_keeps_to_the_policies_before_its_containers_start_and_to_each_change() -> None:
    async with running(DENY_ALL) as enforcement:
        web, lab = Network(), Network()
        await enforcement.attach(web.of("web", WEB), web)
        await enforcement.attach(lab.of("client", CLIENT), lab)
        assert (web.told, lab.told) == ([isolated()], [])
        enforcement.policies.change("ADDED", CLIENTS)
        clients = block("127.0.0.8/29")
        await told(web, isolated(), isolated(clients))
        enforcement.policies.change("DELETED", CLIENTS)
        enforcement.policies.change("DELETED", DENY_ALL)
        await told(web, isolated(), isolated(clients), Rules())
        assert lab.told == []


@pytest.mark.asyncio
async def test_a_peer_counts_as_soon_as_it_has_its_label_and_its_address() -> None:
    peers = policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"role": "client"}}}]}])
    async with running(peers) as enforcement:
        enforcement.pods.replace(PODS[:1])
        web, client = Network(), Network()
        await enforcement.attach(web.of("web", WEB, 80), web)
        await enforcement.attach(client.of("new", DB), client)
        steps = (
            (pod("new", None), False),
            (pod("new", DB), False),
            (pod("new", None, labels={"role": "client"}), False),
            (pod("new", DB, labels={"role": "client"}), True),
            (pod("new", DB), False),
        )
        for step, let_in in steps:
            enforcement.pods.change("MODIFIED", step)
            await has(client, {(WEB, 80): let_in})
        assert web.told == [isolated(NOBODY)]  # the pod's own relay is not asked


@pytest.mark.asyncio
async def test_a_pod_of_which_the_news_come_late_is_open_until_then_and_one_deleted_keeps_its_rules() -> None:
    async with running(DENY_ALL) as enforcement:
        late = Network()
        await enforcement.attach(late.of("late", "10.9.1.9"), late)
        assert late.told == []
        enforcement.pods.change("ADDED", pod("late", "10.9.1.9"))
        await told(late, isolated())
        enforcement.pods.change("DELETED", pod("late", "10.9.1.9"))
        other = Network()
        await enforcement.attach(other.of("web", WEB), other)
        assert (late.told, other.told) == ([isolated()], [isolated()])


@pytest.mark.asyncio
async def test_a_network_that_has_ended_keeps_nobody_from_his_rules() -> None:
    async with running(DENY_ALL) as enforcement:
        gone, web = GoneNetwork(), Network()
        await enforcement.attach(gone.of("db", DB), gone)
        await enforcement.attach(web.of("web", WEB), web)
        enforcement.detach(gone)
        enforcement.policies.replace([])
        await told(web, isolated(), Rules())
        assert gone.told == [isolated()]


@pytest.mark.asyncio
async def test_a_pod_has_a_way_to_each_port_of_the_others_and_knows_who_lets_it_in() -> None:
    egress = policy("out", podSelector={"matchLabels": {"app": "client"}}, space="lab", policyTypes=["Egress"])
    async with running(
        policy(ingress=[{"from": [{"podSelector": {}}], "ports": [{"port": 80}]}]), egress
    ) as enforcement:
        web, db, client = Network(), Network(), Network()
        for network, attached in (
            (web, web.of("web", WEB, 80, 81)),
            (db, db.of("db", DB, 5432)),
            (client, client.of("client", CLIENT)),
        ):
            await enforcement.attach(attached, network)

        await has(web, {(DB, 5432): True})
        await has(db, {(WEB, 80): True, (WEB, 81): False})
        await has(client, {(WEB, 80): False, (WEB, 81): False, (DB, 5432): True})
        assert client.own_rules == Rules(egress=())
        enforcement.policies.replace([])
        await has(client, {(WEB, 80): True, (WEB, 81): True, (DB, 5432): True})
        enforcement.detach(web)
        await has(client, {(DB, 5432): True})
        assert client.own_rules == Rules()


@pytest.mark.asyncio
async def test_before_kubernetes_was_heard_from_nothing_is_told() -> None:
    with by_hand():
        enforcement, web = Enforcement(LAYOUT), Network()
        enforcement.pods.replace(PODS)
        enforcement.policies.replace([DENY_ALL])
        await enforcement.attach(web.of("web", WEB), web)
        assert web.told == []
