"""NetworkPolicies: who reaches the pods, and whom they reach."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from registry.environment import HTTPS_PORT, PORT, s3_port
from registry.ownership import Ownership
from registry.pod import POD_LABELS
from registry.pod_credentials import AGENT_ADDRESS, AGENT_PORT
from registry.settings import Settings


def specs(settings: Settings) -> dict[str, k8s.networking.v1.NetworkPolicySpecArgsDict]:
    """The policies by their names; none, if the settings want none.

    In: the registry's port, from everywhere, as the load balancer comes by the nodes. Out: DNS, and the S3 API, with
    STS on the same port. Another port than HTTPS's, and the agent of EKS Pod Identity, are let out by policies of their
    own. Pulumi makes those before it changes the pods, and deletes former ones when all has succeeded and the pods of
    before have ended (former_pods.py): so in an update that changes port or identity neither these nor the new ones
    lose AWS, also if it fails.
    """
    if not settings.network_policy:
        return {}
    policies: dict[str, k8s.networking.v1.NetworkPolicySpecArgsDict] = {
        "kube-registry": {
            "pod_selector": {"match_labels": POD_LABELS},
            "policy_types": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"port": PORT, "protocol": "TCP"}]}],
            "egress": [
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                {"ports": [{"port": HTTPS_PORT, "protocol": "TCP"}]},
            ],
        }
    }
    if settings.identity == "podIdentity":
        agent: k8s.networking.v1.NetworkPolicyPeerArgsDict = {"ip_block": {"cidr": f"{AGENT_ADDRESS}/32"}}
        policies["kube-registry-pod-identity-agent"] = {
            "pod_selector": {"match_labels": POD_LABELS},
            "policy_types": ["Egress"],
            "egress": [{"to": [agent], "ports": [{"port": AGENT_PORT, "protocol": "TCP"}]}],
        }
    port = s3_port(settings.bucket.endpoint)
    if port != HTTPS_PORT:
        policies[f"kube-registry-s3-{port}"] = {
            "pod_selector": {"match_labels": POD_LABELS},
            "policy_types": ["Egress"],
            "egress": [{"ports": [{"port": port, "protocol": "TCP"}]}],
        }
    return policies


def registered(
    name: str,
    namespace: str,
    policies: Mapping[str, k8s.networking.v1.NetworkPolicySpecArgsDict],
    *,
    ownership: Ownership,
    opts: pulumi.ResourceOptions,
) -> list[k8s.networking.v1.NetworkPolicy]:
    """Register the policies, of which the first lets out the least: it is made, or changed, when the others are there.

    `name` is what their resources' names begin with, `opts` what they have in common.
    """
    made: list[k8s.networking.v1.NetworkPolicy] = []
    for policy, spec in reversed([*policies.items()]):
        metadata: k8s.meta.v1.ObjectMetaArgsDict = {
            "name": policy,
            "namespace": namespace,
            "labels": POD_LABELS,
            "annotations": ownership.annotations,
        }
        prepare = ownership.meet_hands(f"networkpolicy/{policy}", {"metadata": metadata, "spec": spec})
        resource = f"{name}-network-policy{policy.removeprefix('kube-registry')}"
        type_ = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
        own = pulumi.ResourceOptions(
            depends_on=made[:],
            hooks=pulumi.ResourceHookBinding(before_update=prepare),
            aliases=ownership.former_name(type_, resource, namespace=namespace),
        )
        merged = pulumi.ResourceOptions.merge(opts, own)
        made.append(
            k8s.networking.v1.NetworkPolicy(f"{resource}-{namespace}", metadata=metadata, spec=spec, opts=merged)
        )
    return made
