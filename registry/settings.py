"""The settings of a stack: the only reader of configuration, and the only place that judges it.

Every mistake is found before anything is created, and all of them are reported together.
"""

from __future__ import annotations

import contextlib
import json
from typing import Annotated, Any, Literal, Self

import pulumi
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from registry.annotated_types import (
    BucketName,
    Cidr,
    EndpointUrl,
    Fqdn,
    ImageReference,
    KmsKeyArn,
    KubernetesName,
    NegotiationPolicy,
    Tls,
    UserName,
    refused,
)
from registry.setting_errors import describe

MIB = 1024 * 1024


class SettingsError(pulumi.RunError):
    """The configuration has mistakes. The message lists each with setting, value, rule and remedy."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class BucketSettings(_Model):
    """`registry:bucket`: where the images are kept, and what guards them."""

    name: BucketName | None = Field(
        default=None, examples=["my-images"], description="The bucket's name. Left out: Pulumi makes a unique one."
    )
    protect: bool = Field(
        default=True,
        description="Refuse to delete or replace the bucket (Pulumi's protect): `pulumi destroy` stops at its preview, "
        "before it has deleted anything. Set it to false, and run `pulumi up`, before a teardown that is meant.",
    )
    force_destroy: bool = Field(
        default=False,
        description="Let `pulumi destroy` delete the images with the bucket. It counts from the next `pulumi up` on. "
        "With false, AWS refuses to delete a bucket that holds anything.",
    )
    kms_key_arn: KmsKeyArn | None = Field(
        default=None,
        examples=["arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012"],
        description="Encrypt with this KMS key of the bucket's region, and refuse what is encrypted otherwise. Left "
        "out: with S3's own keys (SSE-S3, AES256). What is in the bucket stays under the key that it was written "
        "with, so keep a former key usable until all of it is written again.",
    )
    versioning: bool = Field(
        default=False,
        description="Keep what is deleted or overwritten as a non-current version, for noncurrentVersionDays.",
    )
    noncurrent_version_days: int = Field(
        default=30, ge=1, description="After how many days a non-current version is deleted for good, at least 1."
    )
    tls_only: bool = Field(
        default=True,
        description="Deny every request to the bucket by plain HTTP. Only an endpoint without TLS needs false.",
    )
    endpoint: EndpointUrl | None = Field(
        default=None,
        description="Another S3 API than that of the bucket's region: an S3 compatible store, or the regional "
        "endpoint of a region that the registry does not know yet.",
    )

    @field_validator("endpoint")
    @classmethod
    def _endpoint_has_tls(cls, endpoint: str | None, info: ValidationInfo) -> str | None:
        if endpoint and endpoint.startswith("http:") and info.data.get("tls_only"):
            raise refused(
                "have https, or registry:bucket.tlsOnly denies every request",
                "give an endpoint with https, or run pulumi config set --path registry:bucket.tlsOnly false",
            )
        return endpoint


class RotationSettings(_Model):
    """`registry:rotation`: count a number up, and `pulumi up` makes the secret anew."""

    access_key: int = Field(
        default=1,
        ge=1,
        description="The access key of the IAM user: the new one is made, the pods roll onto it, the old one is "
        "deleted. No request fails.",
    )
    http_secret: int = Field(
        default=1,
        ge=1,
        description="The HTTP secret, with which the pods sign the state of uploads. An upload that is under way "
        "while they roll onto the new one starts over: clients do that by themselves.",
    )
    password: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={},
        examples=[2],
        description="The password of a user, by the user's name, 1 where it is not given. The old password stops "
        "working as the pods roll; to hand over without a break, let clients move to a second user first.",
    )


class LoadBalancerSettings(_Model):
    """`registry:loadBalancer`: the way in."""

    internal: bool = Field(
        default=False,
        description="Give the load balancer private addresses only: no way in from the internet. Changing it makes "
        "another load balancer.",
    )
    allowed_cidrs: list[Cidr] | None = Field(
        default=None,
        min_length=1,
        examples=["203.0.113.0/24"],
        description="The ranges of IPv4 addresses that may connect. Left out: all.",
    )
    idle_timeout_seconds: int = Field(
        default=900,
        # service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout takes 1 to 4000.
        ge=1,
        le=4000,
        description="How long a connection may be silent, 1 to 4000 seconds. A push is, while S3 puts the parts of a "
        "big layer together; AWS's own 60 cuts it off.",
    )
    ssl_negotiation_policy: NegotiationPolicy = Field(
        default="ELBSecurityPolicy-TLS-1-2-2017-01",
        description="The protocols and ciphers that clients may use: a predefined security policy of classic load "
        "balancers.",
    )


class Settings(_Model):
    """Everything that a stack can choose: `registry:` in Pulumi.<stack>.yaml."""

    hostname: Fqdn = Field(
        examples=["registry.example.com"], description="The registry's name: what people tag images with. Required."
    )
    zone: Fqdn = Field(
        default="",
        validate_default=True,
        description="The Route53 hosted zone that gets the alias record. Empty: the hostname's parent domain.",
    )
    private_zone: bool = Field(default=False, description="Look the zone up among the private hosted zones.")
    tls: Tls = Field(
        default="acm",
        validate_default=True,
        description="How clients reach the registry. acm: HTTPS on port 443, with a certificate for the hostname that "
        "AWS issues and renews, proven by a record in the zone. A certificate's ARN: HTTPS with that one. none: HTTP "
        "on port 80, an insecure registry to Docker.",
    )
    users: list[UserName] = Field(
        default=["registry"],
        examples=["registry"],
        description="The names of who may log in, each with a generated password. Empty: everyone may push and pull.",
    )
    rotation: RotationSettings = Field(
        default=RotationSettings(),
        description="Which secrets are to be made anew: accessKey, httpSecret, password; each is described in "
        "registry/settings.py.",
    )
    image: ImageReference = Field(
        default="registry:3.1.1@sha256:1be55279f18a2fe1a74edf2664cac61c1bea305b7b4642dab412e7affdcb3e33",
        description="The image of the distribution registry, 2.x or 3.x, with a tag or a digest.",
    )
    controller: Literal["Deployment", "ReplicationController"] = Field(
        default="Deployment", description="What keeps the pods running: Deployment or ReplicationController."
    )
    replicas: int = Field(default=2, ge=1, description="How many pods serve the registry, at least 1.")
    namespace: KubernetesName = Field(
        default="kube-system", description="The Kubernetes namespace of it all. It must exist."
    )
    identity: Literal["user"] = Field(
        default="user", description="Who the registry is to AWS. user: an IAM user with an access key."
    )
    bucket: BucketSettings = Field(
        default=BucketSettings(),
        description="The S3 bucket: name, protect, forceDestroy, kmsKeyArn, versioning, noncurrentVersionDays, "
        "tlsOnly, endpoint; each is described in registry/settings.py.",
    )
    load_balancer: LoadBalancerSettings = Field(
        default=LoadBalancerSettings(),
        description="The load balancer: internal, allowedCidrs, idleTimeoutSeconds, sslNegotiationPolicy; each is "
        "described in registry/settings.py.",
    )
    network_policy: bool = Field(
        default=True,
        description="Let the pods be reached on the registry's port only, and reach only DNS and the S3 API. It works "
        "where the cluster's network plugin enforces NetworkPolicies.",
    )
    chunk_size: int = Field(
        default=5 * MIB,
        # S3 takes parts of 5 MiB to 5 GiB; a pod keeps several of them in memory for each upload (see controller.py).
        ge=5 * MIB,
        le=64 * MIB,
        description="The size in bytes of the parts in which layers are uploaded to S3, 5242880 to 67108864. "
        "Larger parts cost memory with every upload.",
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
                f"be a domain that holds the hostname, which is {hostname}",
                "leave it out for the hostname's parent domain, or name the hosted zone that the hostname ends with",
            )
        return zone

    @field_validator("tls")
    @classmethod
    def _acm_needs_a_public_zone(cls, tls: str, info: ValidationInfo) -> str:
        if tls == "acm" and info.data.get("private_zone"):
            raise refused(
                "not be acm with registry:privateZone: ACM looks for the record that proves the hostname in public DNS",
                "give the ARN of a certificate for the hostname, one imported into ACM or issued by AWS Private CA",
            )
        return tls

    @field_validator("users")
    @classmethod
    def _users_differ(cls, users: list[str]) -> list[str]:
        if len(set(users)) < len(users):
            raise refused("name each user once", "take the second one out")
        return users

    @field_validator("rotation")
    @classmethod
    def _rotated_passwords_have_users(cls, rotation: RotationSettings, info: ValidationInfo) -> RotationSettings:
        users = info.data.get("users", rotation.password)
        if strangers := [user for user in rotation.password if user not in users]:
            raise refused(
                f"name, below password, only users of registry:users, not {strangers[0]}",
                f"use one of {', '.join(users) or 'none, there are no users'}, or take the entry out",
            )
        return rotation

    @property
    def serves_tls(self) -> bool:
        """Whether clients come by HTTPS."""
        return self.tls != "none"

    @classmethod
    def load(cls, config: pulumi.Config) -> Self:
        """Read and judge the configuration bag `config` (namespace `registry`).

        Raises SettingsError, with every mistake at once.
        """
        try:
            return cls.model_validate(_values(config), by_alias=True, by_name=False)
        except ValidationError as error:
            mistakes = [describe(cls, config.name, mistake) for mistake in error.errors(include_url=False)]
            count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
            raise SettingsError("\n".join([f"the configuration has {count}:", *mistakes])) from None


def _values(config: pulumi.Config) -> dict[str, Any]:
    """What is set in the bag, misspelt keys too; an empty value counts as not set."""
    prefix = f"{config.name}:"
    known = [field.alias or name for name, field in Settings.model_fields.items()]
    configured = [key.removeprefix(prefix) for key in pulumi.runtime.get_config_env() if key.startswith(prefix)]
    values = {key: config.get(key) for key in dict.fromkeys([*known, *configured])}
    return {key: _parsed(value) for key, value in values.items() if value}


def _parsed(value: str) -> Any:
    """Objects and lists reach a program as JSON, everything else as it was written."""
    if value[0] in "{[":
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(value)
    return value
