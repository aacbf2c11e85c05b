"""The settings of a stack: the only reader of configuration, and the only place that judges it.

Every mistake is found before anything is created, and all of them are reported together.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, Literal, Self

import pulumi
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from registry.annotated_types import BucketName, EndpointUrl, Fqdn, ImageReference, KubernetesName, refused
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
        description="Refuse to delete or replace the bucket (Pulumi's protect), so `pulumi destroy` stops before it "
        "has deleted anything. Set it to false, and run `pulumi up`, before a teardown that is meant.",
    )
    force_destroy: bool = Field(
        default=False,
        description="Let `pulumi destroy` delete the images with the bucket. It counts from the next `pulumi up` on. "
        "With false, AWS refuses to delete a bucket that holds anything.",
    )
    endpoint: EndpointUrl | None = Field(
        default=None,
        description="Another S3 API than that of the bucket's region: an S3 compatible store, or the regional "
        "endpoint of a region that the registry does not know yet.",
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
    tls: Literal["none"] = Field(
        default="none",
        description="How clients reach the registry. none: HTTP on port 80, an insecure registry to Docker.",
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
        description="The S3 bucket: name, protect, forceDestroy, endpoint; each is described in registry/settings.py.",
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
