"""The settings of a stack as a whole, read from its configuration."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Literal, Self

import pulumi
from pydantic import Field, ValidationError, ValidationInfo, field_validator

from registry.releases import major_of
from registry.settings.access_logs import OTHER_BUCKET_RULE, AccessLogsSettings
from registry.settings.bucket import BucketSettings
from registry.settings.configuration import configured_values, is_secret
from registry.settings.errors import SettingsError, describe
from registry.settings.identity import IdentitySettings
from registry.settings.load_balancer import LoadBalancerSettings
from registry.settings.names import NameSettings
from registry.settings.pods import PUBLIC, PodSettings
from registry.settings.rotation import USERS_RULE, RotationSettings
from registry.settings.value_types import (
    TAGS_RULE,
    KubernetesName,
    TagValue,
    UserName,
    judged_tags,
    refused,
)

# What settings owe one another, completing "must ...".
_ONCE_RULE = "name each user once"
_PRIMARY_RULE = "be one of users"
_RELEASE_RULE = "be user with an image of 2.x, which knows no role but the node's"
_ENDPOINT_RULE = "not be irsa with bucket.endpoint, which would get the calls to STS as well"
_PROVIDER_RULE = "have oidcProviderArn or cluster with irsa"
_CLUSTER_RULE = "have cluster with podIdentity"
_ANONYMOUS_RULE = "be true where users is empty and a public load balancer admits every address"


class Settings(IdentitySettings, PodSettings, NameSettings):
    """Everything that a stack can choose, in Pulumi.<stack>.yaml."""

    users: list[UserName] = Field(
        default=["registry"],
        examples=["registry", "ci"],
        json_schema_extra={"together": _ONCE_RULE},
        description="The names of who may log in, each with a generated password. Empty: everyone may push and pull, "
        "see anonymousPush.",
    )
    primary_user: UserName = Field(
        default="",
        examples=["ci"],
        json_schema_extra={"together": _PRIMARY_RULE},
        description="Whose login the outputs username, password, dockerConfigJson and the commands have: one of users. "
        "Empty: whose it was after the last update, on a new stack the first of users.",
    )
    rotation: RotationSettings = Field(
        default=RotationSettings(),
        description="Which secrets are to be made anew: accessKey, httpSecret, password; each is described in "
        "docs/settings.md.",
    )
    namespace: KubernetesName = Field(
        default="kube-system",
        examples=["registry"],
        description="The Kubernetes namespace of it all, which must exist.",
    )
    bucket: BucketSettings = Field(
        default=BucketSettings(),
        description="The S3 bucket: name, protect, forceDestroy, kmsKeyArn, versioning, noncurrentVersionDays, "
        "tlsOnly, endpoint; each is described in docs/settings.md.",
    )
    identity: Literal["user", "irsa", "podIdentity"] = Field(
        default="user",
        validate_default=True,
        examples=["podIdentity"],
        json_schema_extra={"together": f"{_RELEASE_RULE}, {_ENDPOINT_RULE}, {_PROVIDER_RULE}, and {_CLUSTER_RULE}"},
        description="Who the registry is to AWS: user, an IAM user with an access key; irsa, a role that trusts the "
        "cluster's OIDC provider; podIdentity, a role that EKS Pod Identity gives the pods. With a role there is no "
        "key, and signed URLs, good for 20 minutes, end with the role's session if that ends before.",
    )
    load_balancer: LoadBalancerSettings = Field(
        default=LoadBalancerSettings(),
        description="The load balancer: class, type, targetType, internal, subnets, allowedCidrs, idleTimeoutSeconds, "
        "sslNegotiationPolicy, annotations; each is described in docs/settings.md.",
    )
    anonymous_push: bool = Field(
        default=False,
        validate_default=True,
        json_schema_extra={"together": _ANONYMOUS_RULE},
        description="Without users, let everyone on the internet push and pull; each update warns of it.",
    )
    redirect: bool = Field(
        default=True,
        description="Let clients fetch layers from S3 by signed URLs. false: the pods hand out every byte, for clients "
        "that reach nothing but the registry's name; pulls then cost the pods CPU time and the load balancer traffic.",
    )
    access_logs: AccessLogsSettings = Field(
        default=AccessLogsSettings(),
        description="The access logs of bucket and load balancer: bucket; it is described in docs/settings.md.",
    )
    tags: dict[str, TagValue] = Field(
        default={},
        examples=["platform"],
        json_schema_extra={"together": TAGS_RULE, "entry": "team"},
        description="Further tags of bucket, IAM user or role, certificate and load balancer, beside project, stack "
        "and registry, which they may replace. Objects in the bucket have none, as S3 takes ten, and a load balancer "
        "of EKS Auto Mode has none: its cluster may not tag by itself. Left out: none.",
    )
    network_policy: bool = Field(
        default=True,
        description="Let the pods be reached on the registry's port only, and reach only DNS, the S3 API, STS on its "
        "port, and with podIdentity the agent. It works where the cluster's network plugin enforces NetworkPolicies.",
    )

    @field_validator("users")
    @classmethod
    def _users_differ(cls, users: list[str]) -> list[str]:
        if len(set(users)) < len(users):
            raise refused(_ONCE_RULE, "take the second one out")
        return users

    @field_validator("primary_user")
    @classmethod
    def _primary_user_is_one(cls, primary_user: str, info: ValidationInfo) -> str:
        users = info.data.get("users", [primary_user])
        if primary_user and primary_user not in users:
            remedy = f"use one of {', '.join(users)}, or leave it out" if users else "leave it out, there are no users"
            raise refused(_PRIMARY_RULE, remedy)
        return primary_user

    @field_validator("rotation")
    @classmethod
    def _rotated_passwords_have_users(cls, rotation: RotationSettings, info: ValidationInfo) -> RotationSettings:
        users = info.data.get("users", rotation.password)
        if strangers := [user for user in rotation.password if user not in users]:
            raise refused(
                f"{USERS_RULE}, not {strangers[0]}",
                f"use one of {', '.join(users) or 'none, there are no users'}, or take the entry out",
            )
        return rotation

    @field_validator("identity")
    @classmethod
    def _a_role_is_taken_by_the_pods(cls, identity: str, info: ValidationInfo) -> str:
        if identity == "user":
            return identity
        image, bucket = info.data.get("image", ""), info.data.get("bucket")
        if major_of(image) == 2:  # noqa: PLR2004
            raise refused(
                f"{_RELEASE_RULE}: not with {image}",
                "pulumi config rm image for 3.x, or pulumi config set identity user",
            )
        if identity == "irsa" and bucket and bucket.endpoint:
            raise refused(_ENDPOINT_RULE, "pulumi config rm --path bucket.endpoint, or pulumi config set identity user")
        if identity == "irsa" and not (info.data.get("oidc_provider_arn", "?") or info.data.get("cluster", "?")):
            raise refused(_PROVIDER_RULE, "pulumi config set cluster NAME: aws eks list-clusters has the names")
        if identity == "podIdentity" and not info.data.get("cluster", "?"):
            raise refused(_CLUSTER_RULE, "pulumi config set cluster NAME: aws eks list-clusters has the names")
        return identity

    @field_validator("tags")
    @classmethod
    def _tags_are_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        return judged_tags(tags)

    @field_validator("access_logs")
    @classmethod
    def _logs_are_not_logged(cls, access_logs: AccessLogsSettings, info: ValidationInfo) -> AccessLogsSettings:
        bucket = info.data.get("bucket")
        if bucket and access_logs.bucket and access_logs.bucket == bucket.name:
            raise refused(OTHER_BUCKET_RULE, "give another bucket: pulumi config set --path accessLogs.bucket NAME")
        return access_logs

    @field_validator("anonymous_push")
    @classmethod
    def _anonymous_push_is_said(cls, anonymous_push: bool, info: ValidationInfo) -> bool:
        balancer = info.data.get("load_balancer")
        if balancer and not anonymous_push and _is_open(info.data.get("users", ["unknown"]), balancer):
            raise refused(
                _ANONYMOUS_RULE,
                "name users, or set loadBalancer.internal or allowedCidrs; if the whole internet is to push and pull: "
                "pulumi config set anonymousPush true",
            )
        return anonymous_push

    def all_tags(self, *, project: str, stack: str) -> dict[str, str]:
        """What is tagged with: of the stack's own what the user's do not name, as IAM sees no difference of case."""
        own = {"project": project, "stack": stack, "registry": self.hostname}
        named = {key.lower() for key in self.tags}
        return {key: value for key, value in own.items() if key not in named} | self.tags

    @property
    def is_open(self) -> bool:
        """Whether everyone on the internet may push."""
        return _is_open(self.users, self.load_balancer)

    @classmethod
    def load(cls, config: pulumi.Config) -> Self:
        """Read and judge the configuration bag `config` (namespace: the project's name).

        Raises SettingsError, with every mistake at once.
        """
        if confidential := [key for key in PUBLIC if is_secret(config, key)]:
            raise SettingsError.of([_published(key) for key in confidential])
        try:
            return cls.model_validate(configured_values(config, cls), by_alias=True, by_name=False)
        except ValidationError as error:
            mistakes = [describe(cls, mistake) for mistake in error.errors(include_url=False)]
            raise SettingsError.of(mistakes) from None


def _published(setting: str) -> str:
    """What is told of a setting that is a secret in the stack's file, and would be none in the pods."""
    return (
        f"  {setting} must be no secret, as everyone who may see pods would read it.\n"
        f"    Remedy: pulumi config rm {setting}, and set without --secret what need not be one"
    )


def _is_open(users: Sequence[str], balancer: LoadBalancerSettings) -> bool:
    admitted = ipaddress.collapse_addresses(map(ipaddress.IPv4Network, balancer.allowed_cidrs or ["0.0.0.0/0"]))
    return not users and not balancer.internal and ipaddress.IPv4Network("0.0.0.0/0") in admitted
