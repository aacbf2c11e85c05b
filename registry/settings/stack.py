"""The settings of a stack as a whole, read from its configuration."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Literal, Self

import pulumi
from pydantic import Field, ValidationError, ValidationInfo, field_validator

from registry.settings.access_logs import OTHER_BUCKET_RULE, AccessLogsSettings
from registry.settings.bucket import BucketSettings
from registry.settings.configuration import configured_values
from registry.settings.errors import SettingsError, describe
from registry.settings.load_balancer import LoadBalancerSettings
from registry.settings.model import SettingsModel
from registry.settings.rotation import USERS_RULE, RotationSettings
from registry.settings.value_types import (
    TAGS_RULE,
    Fqdn,
    HostedZoneId,
    ImageReference,
    KubernetesName,
    PartSize,
    RoleArn,
    TagValue,
    Tls,
    UserName,
    judged_tags,
    refused,
)

ACM_NAME_LENGTH = 64
"""How long the name of a certificate may be: docs.aws.amazon.com/acm/latest/userguide/acm-limits.html"""

# What settings owe one another, completing "must ...".
_ZONE_RULE = "be a domain that holds the hostname"
_PUBLIC_RULE = "not be acm with privateZone"
_LENGTH_RULE = f"not be acm with a hostname of more than {ACM_NAME_LENGTH} characters"
_FURTHER_RULE = "be names in the zone, each once, and not the hostname"
_ONCE_RULE = "name each user once"
_PRIMARY_RULE = "be one of users"
_ANONYMOUS_RULE = "be true where users is empty and a public load balancer admits every address"


class Settings(SettingsModel):
    """Everything that a stack can choose, in Pulumi.<stack>.yaml."""

    hostname: Fqdn = Field(
        examples=["registry.example.com"], description="The registry's name: what people tag images with. Required."
    )
    zone: Fqdn = Field(
        default="",
        validate_default=True,
        examples=["example.com"],
        json_schema_extra={"together": _ZONE_RULE},
        description="The Route53 hosted zone that gets the alias record. Empty: the hostname's parent domain.",
    )
    zone_id: HostedZoneId = Field(
        default="",
        examples=["Z0123456789ABCDEFGHIJ"],
        description="The id of the hosted zone, where several have the zone's name. Empty: the zone is looked up by "
        "its name.",
    )
    hostnames: list[Fqdn] = Field(
        default=[],
        validate_default=True,
        examples=["images.example.com"],
        json_schema_extra={"together": _FURTHER_RULE},
        description="Further names of the registry in the zone, each with an alias record, and on the certificate of "
        "tls: acm, for which AWS's default quota is ten names. To change the hostname: add the new name here, and when "
        "all use it swap the two, then drop the old. Left out: none.",
    )
    private_zone: bool = Field(default=False, description="Look the zone up among the private hosted zones.")
    zone_role_arn: RoleArn = Field(
        default="",
        examples=["arn:aws:iam::111122223333:role/registry-zone"],
        description="A role of the account that has the hosted zone, with which records are looked up and written "
        "there, those that prove a certificate's names too; docs/rights.md has its rights. All else is the stack's "
        "account's. Empty: the zone is the stack's account's.",
    )
    tls: Tls = Field(
        default="acm",
        validate_default=True,
        examples=["arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"],
        json_schema_extra={"together": f"{_PUBLIC_RULE}, and {_LENGTH_RULE}"},
        description="How clients reach the registry: acm, a certificate's ARN, or none. acm: HTTPS on port 443, with a "
        "certificate for the hostname that AWS issues and renews, proven by a record in the zone. A certificate's ARN: "
        "HTTPS with that one. none: HTTP on port 80, an insecure registry to Docker.",
    )
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
    image: ImageReference = Field(
        default="registry:3.1.2@sha256:ddf754342cfc8acc51a56d5d0ab6af06826461864460636d8bd5c546dab2a7b8",
        examples=["registry:3.1.2"],
        description="The image of the distribution registry, 2.x or 3.x, with a tag or a digest. One with known "
        "faults is warned of.",
    )
    controller: Literal["Deployment", "ReplicationController"] = Field(
        default="Deployment", description="What keeps the pods running: Deployment or ReplicationController."
    )
    replicas: int = Field(default=2, ge=1, examples=[3], description="How many pods serve the registry, at least 1.")
    namespace: KubernetesName = Field(
        default="kube-system",
        examples=["registry"],
        description="The Kubernetes namespace of it all, which must exist.",
    )
    identity: Literal["user"] = Field(
        default="user", description="Who the registry is to AWS: user, an IAM user with an access key."
    )
    bucket: BucketSettings = Field(
        default=BucketSettings(),
        description="The S3 bucket: name, protect, forceDestroy, kmsKeyArn, versioning, noncurrentVersionDays, "
        "tlsOnly, endpoint; each is described in docs/settings.md.",
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
        description="Further tags of bucket, IAM user, certificate and load balancer, beside project, stack and "
        "registry, which they may replace. Objects in the bucket have none, as S3 takes ten, and a load balancer of "
        "EKS Auto Mode has none: its cluster may not tag by itself. Left out: none.",
    )
    network_policy: bool = Field(
        default=True,
        description="Let the pods be reached on the registry's port only, and reach only DNS and the S3 API. It works "
        "where the cluster's network plugin enforces NetworkPolicies.",
    )
    chunk_size: PartSize = Field(
        # 1.42 times the throughput of 5 MiB where S3 takes 30 ms to answer, with the memory of 10 MiB, as the driver's
        # buffer grows by doubling; larger ones gain little more.
        default="16Mi",
        validate_default=True,
        examples=["32Mi"],
        description="The size of the parts in which layers are uploaded to S3, 5Mi to 64Mi, or as a number of bytes. "
        "Larger parts are faster where S3 is far, and cost memory with every upload.",
    )

    @field_validator("zone", mode="before")
    @classmethod
    def _parent_domain_by_default(cls, zone: str, info: ValidationInfo) -> str:
        return zone or info.data.get("hostname", "registry.example.com").split(".", 1)[1]

    @field_validator("zone")
    @classmethod
    def _zone_holds_hostname(cls, zone: str, info: ValidationInfo) -> str:
        hostname = info.data.get("hostname")
        if hostname and hostname != zone and not hostname.endswith(f".{zone}"):
            raise refused(
                f"{_ZONE_RULE}, which is {hostname}",
                "leave it out for the hostname's parent domain, or name the hosted zone that the hostname ends with",
            )
        return zone

    @field_validator("hostnames")
    @classmethod
    def _hostnames_are_further_ones(cls, hostnames: list[str], info: ValidationInfo) -> list[str]:
        hostname, zone = info.data.get("hostname"), info.data.get("zone")
        for name in hostnames if hostname and zone else []:
            if name == hostname or hostnames.count(name) > 1:
                raise refused(f"{_FURTHER_RULE}: {name} is there twice", "take the second one out")
            if name != zone and not name.endswith(f".{zone}"):
                raise refused(f"{_FURTHER_RULE}, which is {zone}", f"take {name} out, or choose another zone")
        return hostnames

    @field_validator("tls")
    @classmethod
    def _acm_needs_a_public_zone(cls, tls: str, info: ValidationInfo) -> str:
        if tls == "acm" and info.data.get("private_zone"):
            raise refused(
                f"{_PUBLIC_RULE}: ACM looks for the record that proves the hostname in public DNS",
                "give the ARN of a certificate for the hostname, one imported into ACM or issued by AWS Private CA",
            )
        return tls

    @field_validator("tls")
    @classmethod
    def _acm_takes_short_names_only(cls, tls: str, info: ValidationInfo) -> str:
        hostname = info.data.get("hostname", "")
        if tls == "acm" and len(hostname) > ACM_NAME_LENGTH:
            raise refused(
                f"{_LENGTH_RULE}, and it has {len(hostname)}",
                "choose a shorter hostname, or give the ARN of a certificate that covers it, such as a wildcard's",
            )
        return tls

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

    @property
    def all_hostnames(self) -> list[str]:
        """All names of the registry; the first is that of the outputs."""
        return [self.hostname, *self.hostnames]

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
        try:
            return cls.model_validate(configured_values(config, cls), by_alias=True, by_name=False)
        except ValidationError as error:
            mistakes = [describe(cls, mistake) for mistake in error.errors(include_url=False)]
            raise SettingsError.of(mistakes) from None


def _is_open(users: Sequence[str], balancer: LoadBalancerSettings) -> bool:
    admitted = ipaddress.collapse_addresses(map(ipaddress.IPv4Network, balancer.allowed_cidrs or ["0.0.0.0/0"]))
    return not users and not balancer.internal and ipaddress.IPv4Network("0.0.0.0/0") in admitted
