"""From NetworkPolicies, pods and namespaces to the rules of a pod; all of them as the API's JSON objects.

https://kubernetes.io/docs/concepts/services-networking/network-policies/ and the API's reference of NetworkPolicySpec.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.node.network_policy.address_ranges import EVERYBODY, Ranges, block, union, without
from sandbox.node.network_policy.label_selectors import selects
from sandbox.node.network_policy.rules import LAST_PORT, Rule, Rules

Resource = dict[str, Any]


@dataclass(frozen=True)
class ClusterState:
    """What the API server has."""

    policies: Sequence[Resource]
    pods: Sequence[Resource]
    namespaces: Sequence[Resource]

    def rules_of(self, pod: Resource) -> Rules:
        """Return what all policies together say of `pod`. They only add to one another."""
        namespace, labels = pod["metadata"]["namespace"], _labels(pod)
        ingress: list[Rule] | None = None
        egress: list[Rule] | None = None
        for policy in self.policies:
            spec = policy["spec"]
            if policy["metadata"]["namespace"] != namespace or not selects(spec.get("podSelector") or {}, labels):
                continue
            types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
            if "Ingress" in types:
                ingress = ingress or []
                for rule in spec.get("ingress") or []:
                    ingress += self._ingress(rule, pod)
            if "Egress" in types:
                egress = egress or []
                for rule in spec.get("egress") or []:
                    egress += self._egress(rule, namespace)
        return Rules(None if ingress is None else tuple(ingress), None if egress is None else tuple(egress))

    def _ingress(self, rule: Resource, pod: Resource) -> Iterator[Rule]:
        """Named ports are those of the pod that is reached."""
        addresses = self._addresses(rule.get("from"), pod["metadata"]["namespace"])
        for port in rule.get("ports") or [None]:
            if port and isinstance(port.get("port"), str):
                for number in _numbers(pod, port):
                    yield Rule(addresses, _protocol(port), number, number)
            else:
                yield _rule(addresses, port)

    def _egress(self, rule: Resource, namespace: str) -> Iterator[Rule]:
        """Named ports are those of each pod that is reached; what is no pod has none."""
        addresses = self._addresses(rule.get("to"), namespace)
        for port in rule.get("ports") or [None]:
            if port and isinstance(port.get("port"), str):
                for pod in self._peers(rule.get("to") or [{"namespaceSelector": {}}], namespace):
                    for number in _numbers(pod, port):
                        yield Rule(_addresses_of(pod), _protocol(port), number, number)
            else:
                yield _rule(addresses, port)

    def _addresses(self, peers: list[Resource] | None, namespace: str) -> Ranges:
        """Return the addresses of `peers`, for a policy in `namespace`: all if there are none."""
        if not peers:
            return EVERYBODY
        blocks = [_block(peer["ipBlock"]) for peer in peers if peer.get("ipBlock")]
        return union([*blocks, *map(_addresses_of, self._peers(peers, namespace))])

    def _peers(self, peers: Iterable[Resource], namespace: str) -> Iterator[Resource]:
        """Return the pods that `peers` of a policy in `namespace` name."""
        for peer in peers:
            if peer.get("ipBlock"):
                continue
            spaces = {namespace}
            if (selector := peer.get("namespaceSelector")) is not None:
                spaces = {one["metadata"]["name"] for one in self.namespaces if selects(selector, _labels(one))}
            for pod in self.pods:
                if pod["metadata"]["namespace"] in spaces and selects(peer.get("podSelector") or {}, _labels(pod)):
                    yield pod


def _block(ip_block: Resource) -> Ranges:
    return without(block(ip_block["cidr"]), union(block(each) for each in ip_block.get("except") or []))


def _rule(addresses: Ranges, port: Resource | None) -> Rule:
    """Return the rule for a NetworkPolicyPort with a number or without; for all ports if it is None."""
    if port is None:
        return Rule(addresses)
    if (first := port.get("port")) is None:
        return Rule(addresses, _protocol(port), 0, LAST_PORT)
    return Rule(addresses, _protocol(port), first, port.get("endPort") or first)


def _numbers(pod: Resource, port: Resource) -> Iterator[int]:
    """Return the ports of `pod` that have the name and protocol of a NetworkPolicyPort."""
    sidecars = [one for one in pod["spec"].get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    for container in [*pod["spec"]["containers"], *sidecars]:
        for declared in container.get("ports") or []:
            if declared.get("name") == port["port"] and _protocol(declared) == _protocol(port):
                yield declared["containerPort"]


def _protocol(port: Resource) -> str:
    return port.get("protocol") or "TCP"


def _addresses_of(pod: Resource) -> Ranges:
    """Return the pod's address: none before it has one, or when it has ended and another may have it."""
    status = pod.get("status") or {}
    if not status.get("podIP") or status.get("phase") in ("Succeeded", "Failed"):
        return ()
    return block(status["podIP"])


def _labels(resource: Resource) -> dict[str, str]:
    return resource["metadata"].get("labels") or {}
