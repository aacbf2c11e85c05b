"""EKS: Pod Identity associations, and the look-up of a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from typing_extensions import override

from sandbox.aws_plugin.errors import accepting, doing, gone_on
from sandbox.aws_plugin.lookups import absent
from sandbox.aws_plugin.resource import Resource
from sandbox.aws_plugin.schema import Problem
from sandbox.aws_plugin.session import Aws
from sandbox.aws_plugin.shapes import timestamp
from sandbox.aws_plugin.values import Properties

_NOT_FOUND = "ResourceNotFoundException"


class PodIdentityAssociation(Resource):
    """`aws.eks.PodIdentityAssociation`; its id is the association's."""

    pulumi_type = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
    service = "eks"
    replaces = frozenset({"clusterName", "namespace", "serviceAccount"})
    computed = frozenset({"disableSessionTags"})
    unsupported = frozenset({"targetRoleArn"})
    absent_outputs = unsupported | {"externalId"}

    @override
    def create(self, inputs: Properties) -> str:
        request = {"tags": tags} if (tags := self.all_tags(inputs)) else {}
        with self.doing("creating EKS Pod Identity Association"):
            made = self.client.create_pod_identity_association(
                clusterName=inputs["clusterName"],
                namespace=inputs["namespace"],
                serviceAccount=inputs["serviceAccount"],
                **_changeable(inputs),
                **request,
            )["association"]
        self.once = {"associationArn": made["associationArn"]}
        return made["associationId"]

    @override
    def configure(self, resource_id: str, inputs: Properties, state: Properties) -> None:
        if not state:
            return
        with self.doing(f"updating EKS Pod Identity Association ({resource_id})"):
            new, old = _changeable(inputs), _changeable(state)
            if state.get("policy") and not inputs.get("policy"):
                new["policy"] = ""
            if new != old:
                cluster = inputs["clusterName"]
                self.client.update_pod_identity_association(clusterName=cluster, associationId=resource_id, **new)
            tags, known = self.all_tags(inputs), state.get("tagsAll", {})
            if removed := sorted(known.keys() - tags.keys()):
                self.client.untag_resource(resourceArn=state["associationArn"], tagKeys=removed)
            if tags and tags != known:
                self.client.tag_resource(resourceArn=state["associationArn"], tags=tags)

    @override
    def read(self, resource_id: str, state: Properties) -> Properties:
        cluster, _, imported = resource_id.rpartition(",")  # an import names both
        cluster = cluster or state["clusterName"]
        with self.doing(f"reading EKS Pod Identity Association ({resource_id})"), gone_on(_NOT_FOUND):
            found = self.client.describe_pod_identity_association(clusterName=cluster, associationId=imported)
        association = found["association"]
        return {
            "id": association["associationId"],
            "associationArn": association["associationArn"],
            "associationId": association["associationId"],
            "clusterName": association["clusterName"],
            "disableSessionTags": association["disableSessionTags"],
            "namespace": association["namespace"],
            "policy": association.get("policy") or None,
            "roleArn": association["roleArn"],
            "serviceAccount": association["serviceAccount"],
            **self.tag_outputs(association.get("tags", {}), state),
        }

    @override
    def delete(self, resource_id: str, state: Properties) -> None:
        with self.doing(f"deleting EKS Pod Identity Association ({resource_id})"), accepting(_NOT_FOUND):
            cluster = state["clusterName"]
            self.client.delete_pod_identity_association(clusterName=cluster, associationId=resource_id)

    @override
    def check(self, inputs: Properties) -> Iterable[Problem]:
        policy = inputs.get("policy")
        if isinstance(policy, str) and policy:
            try:
                json.loads(policy)
            except ValueError as error:
                yield "policy", f"property 'policy' contains an invalid JSON policy: {error}"


def _changeable(properties: Properties) -> dict[str, Any]:
    """What an update may change of an association."""
    names = ("roleArn", "disableSessionTags", "policy")
    return {name: properties[name] for name in names if properties.get(name) is not None}


def get_cluster(aws: Aws, args: Properties) -> Properties:
    """`aws:eks/getCluster:getCluster`: a cluster by its name."""
    name, region = args["name"], args.get("region") or aws.region
    what = f"reading EKS Cluster ({name})"
    with doing(what, "EKS"), absent(what, _NOT_FOUND):
        found = aws.client("eks", region).describe_cluster(name=name)["cluster"]
    network, vpc = found["kubernetesNetworkConfig"], found["resourcesVpcConfig"]
    logs = [one for one in found["logging"]["clusterLogging"] if one["enabled"]]
    access = found.get("accessConfig")
    return {
        "accessConfigs": [{**access, "bootstrapClusterCreatorAdminPermissions": False}] if access else [],
        "arn": found["arn"],
        "certificateAuthorities": [{"data": found["certificateAuthority"]["data"]}],
        "clusterId": "",  # of clusters on an Outpost
        "createdAt": timestamp(found["createdAt"]),
        "deletionProtection": found.get("deletionProtection", False),
        "enabledClusterLogTypes": sorted(kind for one in logs for kind in one["types"]),
        "endpoint": found["endpoint"],
        "id": name,
        "identities": [{"oidcs": [{"issuer": found["identity"]["oidc"]["issuer"]}]}],
        "kubernetesNetworkConfigs": [
            {
                "elasticLoadBalancings": [],
                "ipFamily": network["ipFamily"],
                "serviceIpv4Cidr": network["serviceIpv4Cidr"],
                "serviceIpv6Cidr": "",
            }
        ],
        "name": name,
        "platformVersion": found["platformVersion"],
        "region": region,
        "roleArn": found["roleArn"],
        "status": found["status"],
        "tags": found.get("tags", {}),
        "upgradePolicies": [{"supportType": found["upgradePolicy"]["supportType"]}],
        "version": found["version"],
        "vpcConfig": {
            "clusterSecurityGroupId": vpc.get("clusterSecurityGroupId", ""),
            "controlPlaneEgressMode": "",
            **{name: vpc[name] for name in ("endpointPrivateAccess", "endpointPublicAccess", "publicAccessCidrs")},
            **{name: vpc.get(name, []) for name in ("securityGroupIds", "subnetIds")},
            "vpcId": vpc.get("vpcId", ""),
        },
        # of these the emulated AWS has none
        **{key: [] for key in _NONE},
    }


_NONE = (
    "computeConfigs",
    "controlPlaneScalingConfigs",
    "kubeApiServerConfigs",
    "kubeControllerManagerConfigs",
    "kubeSchedulerConfigs",
    "outpostConfigs",
    "remoteNetworkConfigs",
    "storageConfigs",
    "zonalShiftConfigs",
)
