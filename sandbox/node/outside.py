"""What pods reach outside of their own network, and at which addresses they find it there."""

from __future__ import annotations

from sandbox import service_hosts
from sandbox.layout import POD_IDENTITY_AGENT_PORT, UNUSED_PORT, Layout
from sandbox.node.cluster_dns import NameService
from sandbox.node.kubelet import CLUSTER_DNS
from sandbox.node.relays import Address

API_SERVER = ("172.20.0.1", 443)
"""The Service `kubernetes`: the first address of the Services' network."""
AWS = (service_hosts.ADDRESS, service_hosts.PORT)
"""To what the names of AWS's services resolve."""
POD_IDENTITY_AGENT = ("169.254.170.23", 80)
"""The EKS Pod Identity Agent: configuration/config.go of aws/eks-pod-identity-agent."""

NAME_SERVICE = NameService(CLUSTER_DNS, API_SERVER[0])
ADDRESSES = [CLUSTER_DNS, *(address for address, _ in (API_SERVER, AWS, POD_IDENTITY_AGENT))]
"""Of each pod's network, beside its own."""

CLOUD_PORT, CLOUD_TLS_PORT, API_SERVER_PORT = 4566, 4567, 6443


def egress(layout: Layout) -> dict[Address, Address]:
    """Return what pods reach: the address and port in their network, and those of the machine."""
    here = {port: (layout.address, port) for port in (CLOUD_PORT, CLOUD_TLS_PORT, UNUSED_PORT, API_SERVER_PORT)}
    return {one: one for one in here.values()} | {
        API_SERVER: here[API_SERVER_PORT],
        AWS: here[CLOUD_TLS_PORT],
        POD_IDENTITY_AGENT: (layout.address, POD_IDENTITY_AGENT_PORT),
    }
