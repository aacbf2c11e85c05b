"""What the addresses of policies are on the machine, where a pod's relay sees who comes.

Pods come from the loopback addresses that serve them, load balancers and node from addresses of their own, and all
others from what they have, which is 127.0.0.1 unless they choose another.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.layout import LOAD_BALANCER_IP, Layout
from sandbox.node.network_policy.address_ranges import NOBODY, Ranges, block, common, contains, union, without
from sandbox.node.network_policy.rules import Rule, Rules
from sandbox.node.pod_addresses import RESERVED_ADDRESSES

LOOPBACK = block("127.0.0.0/8")
"""No other address comes to a listener that is on one of these."""


def on_the_host(rules: Rules, layout: Layout) -> Rules:
    """Return `rules` with the sources of the ingress as the pods' relays see them.

    The node is let in always, as with the VPC's network plugin: its probes, and what it passes on to a pod. Pods are
    too, as the relays by which they come have looked at the rules of both (neighbours.py).
    """
    if rules.ingress is None:
        return rules
    ((first, last),) = block(f"{layout.address}/16")
    marked = union([block(layout.node_address), ((first + RESERVED_ADDRESSES, last),)])
    balancer = block(layout.load_balancer_address)

    def seen(addresses: Ranges) -> Ranges:
        others = without(common(addresses, LOOPBACK), union([marked, balancer]))
        return union([others, balancer if contains(addresses, LOAD_BALANCER_IP) else NOBODY])

    ingress = [replace(rule, addresses=seen(rule.addresses)) for rule in rules.ingress]
    return replace(rules, ingress=(Rule(marked), *ingress), marked=marked)
