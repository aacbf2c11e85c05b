"""Who comes in, as the policies and as the machine name him."""

from __future__ import annotations

import pytest

from sandbox.layout import LOAD_BALANCER_IP, Layout
from sandbox.node.network_policy.address_ranges import contains
from sandbox.node.network_policy.host_addresses import on_the_host
from sandbox.node.network_policy.rules import Rules
from tests.sandbox.node.network_policy.resources import policy, rules

LAYOUT = Layout(network=9)
NODE, POD, OTHER_POD, BALANCER, CLIENT = "127.9.0.2", "127.9.1.1", "127.9.255.254", "127.9.0.3", "127.0.0.1"


def come_in(*blocks: str, excluded: tuple[str, ...] = ()) -> set[str]:
    peers = [{"ipBlock": {"cidr": one, "except": list(excluded)}} for one in blocks]
    sources = on_the_host(rules(policy(ingress=[{"from": peers}] if peers else [])), LAYOUT).sources("TCP", 80)
    return {one for one in (NODE, POD, OTHER_POD, BALANCER, CLIENT) if contains(sources, one)}


@pytest.mark.parametrize(
    ("blocks", "excluded", "who"),
    [
        ([], (), set()),
        (["0.0.0.0/0"], (), {BALANCER, CLIENT}),
        (["10.9.0.0/16"], (), set()),
        ([f"{LOAD_BALANCER_IP}/20"], (), {BALANCER}),
        (["0.0.0.0/0"], (f"{LOAD_BALANCER_IP}/20",), {CLIENT}),
        (["127.0.0.0/8"], (), {CLIENT}),
        (["127.9.0.0/16"], (), set()),
    ],
)
def test_clients_and_balancers_come_in_by_their_addresses_and_node_and_pods_always(
    blocks: list[str], excluded: tuple[str, ...], who: set[str]
) -> None:
    assert come_in(*blocks, excluded=excluded) == {NODE, POD, OTHER_POD} | who


def test_node_and_pods_of_the_sandbox_are_the_ones_who_mark_their_connections() -> None:
    marked = on_the_host(rules(policy()), LAYOUT).marked
    assert {one for one in (NODE, POD, OTHER_POD, BALANCER, CLIENT) if contains(marked, one)} == {NODE, POD, OTHER_POD}


def test_a_pod_that_no_policy_selects_is_open_and_its_way_out_is_as_the_pod_sees_it() -> None:
    assert on_the_host(Rules(), LAYOUT) == Rules()
    closed = rules(policy(policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "10.9.1.0/24"}}]}]))
    assert on_the_host(closed, LAYOUT) == closed
