"""Who the registry is to AWS: settings of each kind, and what AWS has of a stack's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sandbox.layout import CLUSTER_NAME
from tests.end_to_end.registry_stack import RegistryStack

IDENTITIES: dict[str, dict[str, Any]] = {
    "user": {},
    "irsa": {"identity": "irsa", "cluster": CLUSTER_NAME},
    "pod-identity": {"identity": "podIdentity", "cluster": CLUSTER_NAME},
}
"""The settings, which go with those of `AS_ON_AWS`."""
AS_ON_AWS: dict[str, Any] = {"bucket": {"endpoint": None}}
"""The bucket is found by AWS's name for it."""


@dataclass(frozen=True)
class Held:
    """How many there are of what AWS knows a registry by."""

    users: int = 0
    access_keys: int = 0
    roles: int = 0
    associations: int = 0


HELD = {
    "user": Held(users=1, access_keys=1),
    "irsa": Held(roles=1),
    "pod-identity": Held(roles=1, associations=1),
}


def held(stack: RegistryStack) -> Held:
    """What AWS has of the stack's, by the tags; associations by the namespace."""
    iam = stack.sandbox.aws("iam")
    mark = {"Key": "stack", "Value": stack.name}
    users = [one["UserName"] for one in iam.list_users()["Users"]]
    own = [name for name in users if mark in iam.list_user_tags(UserName=name)["Tags"]]
    roles = [one["RoleName"] for one in iam.list_roles()["Roles"]]
    associations = stack.sandbox.aws("eks").list_pod_identity_associations(
        clusterName=CLUSTER_NAME, namespace=stack.name
    )
    return Held(
        len(own),
        sum(len(iam.list_access_keys(UserName=name)["AccessKeyMetadata"]) for name in own),
        len([name for name in roles if mark in iam.list_role_tags(RoleName=name)["Tags"]]),
        len(associations["associations"]),
    )


def pods_of(stack: RegistryStack) -> set[str]:
    """The names of the pods that serve, once there are no others."""
    return {pod["metadata"]["name"] for pod in stack.settled_pods()}


def made_boundary(stack: RegistryStack) -> str:
    """The ARN of a new policy that allows what a platform team lets workloads do with S3 and KMS."""
    statement = {"Effect": "Allow", "Action": ["s3:*", "kms:*"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return stack.sandbox.aws("iam").create_policy(PolicyName=stack.name, PolicyDocument=document)["Policy"]["Arn"]
