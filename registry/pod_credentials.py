"""How the pods prove to AWS who they are: in their own spec, so that no webhook has to be there when they start.

The SDK in the registry takes the first that it finds: keys of its own configuration, then environment, web identity,
and container credentials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi

from registry.environment import ACCESS_KEY_VARIABLES, variables_of
from registry.policies import STS_AUDIENCE

if TYPE_CHECKING:
    import pulumi_kubernetes as k8s

AGENT_ADDRESS, AGENT_PORT = "169.254.170.23", 80
"""The EKS Pod Identity Agent's on each node: docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html"""
TOKEN_SECONDS = 3600
"""How long a token is good; the kubelet renews it when four fifths are over."""

_ROLE_ANNOTATION = "kube-registry/role-arn"
_NO_OTHER = {"AWS_EC2_METADATA_DISABLED": "true"}
"""Else a pod of release 2.x, which an image by digest alone may be, quietly takes the node's role."""


@dataclass(frozen=True)
class Token:
    """A token of the pod's ServiceAccount for `audience`, which the kubelet puts into `directory`, and renews."""

    audience: str
    volume: str
    directory: str
    file: str

    @property
    def path(self) -> str:
        """Where the container finds it."""
        return f"{self.directory}/{self.file}"


# Names and paths are those of AWS's own webhook, which leaves alone what is there already:
# github.com/aws/amazon-eks-pod-identity-webhook, main.go
_WEB_IDENTITY_TOKEN = Token(STS_AUDIENCE, "aws-iam-token", "/var/run/secrets/eks.amazonaws.com/serviceaccount", "token")
_POD_IDENTITY_TOKEN = Token(
    "pods.eks.amazonaws.com",
    "eks-pod-identity-token",
    "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount",
    "eks-pod-identity-token",
)


@dataclass(frozen=True)
class PodCredentials:
    """What a pod has of it: variables, and a token if it acts as a role. `id` tells these credentials from former ones.

    `id` is the name of the Secret with the access key, or the role's ARN. `annotations` are the pod's.
    """

    variables: Sequence[k8s.core.v1.EnvVarArgsDict]
    id: pulumi.Input[str]
    token: Token | None = None
    annotations: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])

    @property
    def volumes(self) -> list[k8s.core.v1.VolumeArgsDict]:
        """The pod's volumes for it."""
        if self.token is None:
            return []
        source: k8s.core.v1.ServiceAccountTokenProjectionArgsDict = {
            "audience": self.token.audience,
            "expiration_seconds": TOKEN_SECONDS,
            "path": self.token.file,
        }
        return [{"name": self.token.volume, "projected": {"sources": [{"service_account_token": source}]}}]

    @property
    def mounts(self) -> list[k8s.core.v1.VolumeMountArgsDict]:
        """The mounts of each container that calls AWS."""
        if self.token is None:
            return []
        return [{"name": self.token.volume, "mount_path": self.token.directory, "read_only": True}]


def of_access_key(secret_name: pulumi.Input[str]) -> PodCredentials:
    """Those of an IAM user, whose key is in a Secret."""
    return PodCredentials(
        [
            {"name": variable, "value_from": {"secret_key_ref": {"name": secret_name, "key": key}}}
            for variable, key in ACCESS_KEY_VARIABLES.items()
        ],
        secret_name,
    )


def of_web_identity(role_arn: pulumi.Input[str]) -> PodCredentials:
    """Those of a role that trusts the cluster's OIDC provider: the pods take it by themselves, with their token."""
    token = _WEB_IDENTITY_TOKEN
    variables = {"AWS_ROLE_ARN": role_arn, "AWS_WEB_IDENTITY_TOKEN_FILE": token.path}
    return _of_role(role_arn, token, variables)


def of_pod_identity(role_arn: pulumi.Input[str]) -> PodCredentials:
    """Those of the role that an EKS Pod Identity association gives the pods' ServiceAccount."""
    token = _POD_IDENTITY_TOKEN
    variables = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{AGENT_ADDRESS}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token.path,
    }
    return _of_role(role_arn, token, variables)


def id_of(pod: Mapping[str, Any]) -> str | None:
    """The `id` of the credentials of a pod, as the API server gives it; None if it has none of these."""
    variables = variables_of(pod)
    for name in ACCESS_KEY_VARIABLES:
        if reference := variables.get(name, {}).get("valueFrom", {}).get("secretKeyRef"):
            return reference["name"]
    return pod["metadata"].get("annotations", {}).get(_ROLE_ANNOTATION)


def _of_role(role_arn: pulumi.Input[str], token: Token, variables: Mapping[str, pulumi.Input[str]]) -> PodCredentials:
    """Whom the pods act as stands in an annotation, so that they roll onto another role: a session ends with its."""
    env: list[k8s.core.v1.EnvVarArgsDict] = [
        {"name": name, "value": value} for name, value in {**variables, **_NO_OTHER}.items()
    ]
    return PodCredentials(env, role_arn, token, {_ROLE_ANNOTATION: role_arn})
