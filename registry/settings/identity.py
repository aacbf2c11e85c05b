"""The settings of who the registry is to AWS, beside `identity` itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from registry.settings.model import SettingsModel
from registry.settings.value_types import matching

ClusterName = Annotated[
    str,
    matching(
        # docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
        r"|[0-9A-Za-z][A-Za-z0-9_-]{0,99}",
        "be the name of an EKS cluster: at most 100 letters, digits, hyphens and underscores",
        "take it from aws eks list-clusters",
    ),
]
OidcProviderArn = Annotated[
    str,
    matching(
        r"|arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/[A-Za-z0-9.-]+(/[A-Za-z0-9._/-]+)?",
        "be the ARN of an OIDC provider in IAM",
        "take it from aws iam list-open-id-connect-providers",
    ),
]
PolicyArn = Annotated[
    str,
    matching(
        r"|arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[\w+=,.@/-]{1,512}",
        "be the ARN of an IAM policy",
        "give all of it: arn:aws:iam::111122223333:policy/boundary",
    ),
]
IamPath = Annotated[
    str,
    matching(
        # docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
        r"(?=.{1,512}$)/([!-.0-~]+/)*",
        "be a path of IAM: / or words with a slash before, between and after them, at most 512 characters",
        "write it so: /platform/registry/",
    ),
]


class IdentitySettings(SettingsModel):
    """What a user, or a role, is made with, and whom a role trusts."""

    cluster: ClusterName = Field(
        default="",
        examples=["production"],
        description="The name of the EKS cluster, which identity: podIdentity needs, and irsa to find its OIDC "
        "provider. Empty: none is looked up.",
    )
    oidc_provider_arn: OidcProviderArn = Field(
        default="",
        examples=["arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF"],
        description="The cluster's OIDC provider in IAM, which the role of identity: irsa trusts, also where the "
        "cluster is none of EKS. Empty: it is found by the cluster's name.",
    )
    permissions_boundary: PolicyArn = Field(
        default="",
        examples=["arn:aws:iam::111122223333:policy/boundary"],
        description="The permissions boundary of the user or role; it must allow what docs/rights.md has as the "
        "registry's own rights. Empty: none.",
    )
    path: IamPath = Field(
        default="/",
        examples=["/platform/"],
        description="The path of the user or role in IAM; a role of another path is another one.",
    )
