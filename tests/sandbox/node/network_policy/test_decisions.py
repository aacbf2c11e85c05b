"""What policies say of a pod, table by table; as https://kubernetes.io/docs/concepts/services-networking/network-policies/."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.node.network_policy.address_ranges import EVERYBODY, NOBODY, contains
from sandbox.node.network_policy.rules import Rules
from tests.sandbox.node.network_policy.resources import (
    CLIENT,
    DB,
    OTHER_WEB,
    OUTSIDE,
    PODS,
    WEB,
    pod,
    policy,
    rules,
)

SOMEBODY = [WEB, DB, OTHER_WEB, CLIENT, OUTSIDE]


def let_in(found: Rules, port: int = 5000, protocol: str = "TCP") -> list[str]:
    """Whom of SOMEBODY the pod takes connections from."""
    return [address for address in SOMEBODY if contains(found.sources(protocol, port), address)]


def let_out(found: Rules, port: int = 5000, protocol: str = "TCP") -> list[str]:
    """Whom of SOMEBODY the pod may reach."""
    return [address for address in SOMEBODY if found.let_out(protocol, address, port)]


def test_without_a_policy_that_selects_it_a_pod_is_open_both_ways() -> None:
    others = [
        policy(space="lab", policyTypes=["Ingress", "Egress"]),
        policy(podSelector={"matchLabels": {"app": "db"}}, policyTypes=["Ingress", "Egress"]),
    ]
    assert rules(*others) == Rules(None, None)
    assert (let_in(rules(*others)), let_out(rules(*others))) == (SOMEBODY, SOMEBODY)


@pytest.mark.parametrize(
    ("spec", "isolated_in", "isolated_out"),
    [
        ({"policyTypes": ["Ingress"]}, True, False),
        ({"policyTypes": ["Egress"]}, False, True),
        ({"policyTypes": ["Ingress", "Egress"]}, True, True),
        ({}, True, False),
        ({"egress": [{}]}, True, True),
        ({"policyTypes": ["Ingress"], "egress": [{"ports": [{"port": 1}]}]}, True, False),
        ({"podSelector": {}, "policyTypes": ["Ingress"]}, True, False),
    ],
)
def test_a_policy_isolates_in_the_directions_of_its_types(
    spec: dict[str, Any], isolated_in: bool, isolated_out: bool
) -> None:
    found = rules(policy(**spec))
    assert (found.ingress is not None, found.egress is not None) == (isolated_in, isolated_out)


def test_a_direction_without_a_rule_lets_nothing_pass_and_an_empty_rule_everything() -> None:
    closed = rules(policy(policyTypes=["Ingress", "Egress"], ingress=[], egress=[]))
    assert (closed.sources("TCP", 80), let_out(closed)) == (NOBODY, [])
    opened = rules(policy(policyTypes=["Ingress", "Egress"], ingress=[{}], egress=[{}]))
    assert (opened.sources("UDP", 80), let_out(opened)) == (EVERYBODY, SOMEBODY)


SHOP, LAB = {"matchLabels": {"team": "a"}}, {"matchLabels": {"kubernetes.io/metadata.name": "lab"}}
APP_WEB, APP_CLIENT = {"matchLabels": {"app": "web"}}, {"matchLabels": {"app": "client"}}
PEERS: list[tuple[list[dict[str, Any]], list[str]]] = [
    ([], SOMEBODY),
    ([{"podSelector": {}}], [WEB, DB]),
    ([{"podSelector": APP_WEB}], [WEB]),
    ([{"podSelector": APP_CLIENT}], []),
    ([{"namespaceSelector": {}}], [WEB, DB, OTHER_WEB, CLIENT]),
    ([{"namespaceSelector": SHOP}], [WEB, DB]),
    ([{"namespaceSelector": LAB}], [OTHER_WEB, CLIENT]),
    ([{"namespaceSelector": LAB, "podSelector": APP_WEB}], [OTHER_WEB]),
    ([{"namespaceSelector": LAB}, {"podSelector": APP_WEB}], [WEB, OTHER_WEB, CLIENT]),
    ([{"namespaceSelector": {"matchLabels": {"team": "c"}}}], []),
    ([{"ipBlock": {"cidr": "192.0.2.0/24"}}], [OUTSIDE]),
    ([{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.7/32"]}}], []),
    ([{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.9.1.0/24", "192.0.0.0/8"]}}], [OTHER_WEB, CLIENT]),
    ([{"ipBlock": {"cidr": "10.9.2.0/24", "except": ["10.9.2.2/32"]}}, {"podSelector": APP_WEB}], [WEB, OTHER_WEB]),
    ([{"ipBlock": {"cidr": "fd00::/8"}}], []),
]


@pytest.mark.parametrize(("peers", "who"), PEERS)
def test_peers_are_by_block_namespace_and_labels_in_both_directions(
    peers: list[dict[str, Any]], who: list[str]
) -> None:
    found = rules(policy(policyTypes=["Ingress", "Egress"], ingress=[{"from": peers}], egress=[{"to": peers}]))
    assert (let_in(found), let_out(found)) == (who, who)


PORTS: list[tuple[list[dict[str, Any]], set[str]]] = [
    ([], {"TCP 79", "TCP 80", "TCP 85", "UDP 80"}),
    ([{"port": 80}], {"TCP 80"}),
    ([{"port": 80, "protocol": "UDP"}], {"UDP 80"}),
    ([{"protocol": "TCP"}], {"TCP 79", "TCP 80", "TCP 85"}),
    ([{"port": 80, "endPort": 85}], {"TCP 80", "TCP 85"}),
    ([{"port": 81, "endPort": 84}], set()),
    ([{"port": 79}, {"port": 80, "protocol": "UDP"}], {"TCP 79", "UDP 80"}),
]


@pytest.mark.parametrize(("ports", "open_ones"), PORTS)
def test_ports_are_by_number_range_and_protocol_in_both_directions(
    ports: list[dict[str, Any]], open_ones: set[str]
) -> None:
    found = rules(policy(policyTypes=["Ingress", "Egress"], ingress=[{"ports": ports}], egress=[{"ports": ports}]))
    asked = [("TCP", 79), ("TCP", 80), ("TCP", 85), ("UDP", 80)]
    assert {f"{protocol} {port}" for protocol, port in asked if found.sources(protocol, port)} == open_ones
    assert {f"{protocol} {port}" for protocol, port in asked if let_out(found, port, protocol)} == open_ones


@pytest.mark.parametrize(
    ("port", "protocol", "number"),
    [
        ({"port": "http"}, "TCP", 8080),
        ({"port": "dns", "protocol": "UDP"}, "UDP", 53),
        ({"port": "metrics"}, "TCP", 9100),
    ],
)
def test_a_named_port_is_that_of_the_pod_that_is_reached(port: dict[str, Any], protocol: str, number: int) -> None:
    peers = [{"podSelector": {"matchLabels": {"app": "db"}}}, {"ipBlock": {"cidr": "192.0.2.0/24"}}]
    ingress, egress = [{"from": peers, "ports": [port]}], [{"to": peers, "ports": [port]}]
    found = rules(policy(policyTypes=["Ingress", "Egress"], ingress=ingress, egress=egress))
    assert let_in(found, number, protocol) == [DB, OUTSIDE]
    assert let_out(found, number, protocol) == [DB]  # what is outside of the cluster has no names for its ports
    assert (let_in(found, number + 1, protocol), let_out(found, number + 1, protocol)) == ([], [])
    anywhere = rules(policy(policyTypes=["Egress"], egress=[{"ports": [port]}]))
    assert let_out(anywhere, number, protocol) == [WEB, DB, OTHER_WEB, CLIENT]


@pytest.mark.parametrize("port", [{"port": "dns"}, {"port": "nothing"}, {"port": "http", "protocol": "UDP"}])
def test_a_name_that_no_port_of_that_protocol_has_lets_nothing_pass(port: dict[str, Any]) -> None:
    found = rules(policy(policyTypes=["Ingress", "Egress"], ingress=[{"ports": [port]}], egress=[{"ports": [port]}]))
    assert (found.ingress, found.egress) == ((), ())


def test_peers_and_ports_of_one_rule_belong_together_and_those_of_two_do_not() -> None:
    db, lab = [{"podSelector": {"matchLabels": {"app": "db"}}}], [{"namespaceSelector": LAB}]
    found = rules(policy(ingress=[{"from": db, "ports": [{"port": 1}]}, {"from": lab, "ports": [{"port": 2}]}]))
    assert (let_in(found, 1), let_in(found, 2)) == ([DB], [OTHER_WEB, CLIENT])


def test_policies_add_to_one_another() -> None:
    closed = policy("closed", policyTypes=["Ingress", "Egress"])
    one = policy("one", ingress=[{"ports": [{"port": 1}]}])
    everything = policy("two", podSelector={}, policyTypes=["Egress"], egress=[{"ports": [{"port": 2}]}])
    found = rules(closed, one, everything)
    assert (let_in(found, 1), let_in(found, 2)) == (SOMEBODY, [])
    assert (let_out(found, 1), let_out(found, 2)) == ([], SOMEBODY)
    assert rules(closed, one, everything, of=1) == rules(everything, of=1)  # `db` is selected by one of them only


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_pods_without_an_address_or_that_have_ended_are_nobodys_peers(phase: str) -> None:
    ended = pod("ended", CLIENT)
    ended["status"]["phase"] = phase
    found = rules(policy(ingress=[{"from": [{"podSelector": {}}]}]), pods=[PODS[0], ended, pod("starting", None)])
    assert let_in(found) == [WEB]
