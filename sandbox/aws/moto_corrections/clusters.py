"""EKS clusters: what the API tells of them."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from moto.ec2.models import ec2_backends
from moto.eks.models import Cluster

from sandbox.aws.clusters import control_planes
from sandbox.aws.moto_corrections.replacing import instead_of


def describe_clusters_as_they_are() -> None:
    """moto gives all clusters the same issuer and endpoint, both made up, and says little of their network.

    In AWS each has an issuer of its own, `https://oidc.eks.REGION.amazonaws.com/id/` and 32 hexadecimal digits. A
    cluster whose control plane runs is described by that; any other has an issuer without keys.
    https://docs.aws.amazon.com/eks/latest/APIReference/API_Cluster.html
    """

    @instead_of(Cluster, "__init__")
    def _(original: Any, self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        region, account = named["region_name"], named["account_id"]
        made_up = f"https://oidc.eks.{region}.amazonaws.com/id/{secrets.token_hex(16).upper()}"
        running = control_planes.get(self.name)
        self.identity = {"oidc": {"issuer": running.issuer if running else made_up}}
        if running:
            self.endpoint = running.endpoint or self.endpoint
            self.version = running.version or self.version
        if running and running.certificate_authority:
            self.certificate_authority = {"data": base64.b64encode(running.certificate_authority.read_bytes()).decode()}
        subnets = ec2_backends[account][region].subnets
        ids = self.resources_vpc_config.get("subnetIds", [])
        vpcs = [subnet.vpc_id for zone in subnets.values() for subnet in zone.values() if subnet.id in ids]
        self.resources_vpc_config = {
            "endpointPublicAccess": True,
            "endpointPrivateAccess": False,
            "publicAccessCidrs": ["0.0.0.0/0"],
            "securityGroupIds": [],
            "vpcId": next(iter(vpcs), None),
            **self.resources_vpc_config,
        }
        self.kubernetes_network_config = {"ipFamily": "ipv4", **self.kubernetes_network_config}
        self.access_config = {"authenticationMode": "API_AND_CONFIG_MAP"}
        self.upgrade_policy = {"supportType": "EXTENDED"}
        self.deletion_protection = False
