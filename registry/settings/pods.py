"""The settings of the registry's pods."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from registry.settings.annotations import ANNOTATIONS_RULE, AnnotationValue, judged_annotations
from registry.settings.model import SettingsModel
from registry.settings.value_types import ImageReference, PartSize, matching, refused

SecretName = Annotated[
    str,
    matching(
        r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*",
        "be the name of a Secret: lower-case letters, digits, hyphens and dots",
        "take it from kubectl get secrets in the stack's namespace",
    ),
]

_VARIABLE = re.compile(r"REGISTRY_[A-Z0-9_]+")
_CONFIDENTIAL = "(PASSWORD|SECRET|SECRETKEY|ACCESSKEY|TOKEN|PRIVATEKEY|AUTHORIZATION|CREDENTIALS?)"
_CONFIDENTIAL_NAME = re.compile(f".*{_CONFIDENTIAL}")
_CONFIDENTIAL_VALUE = re.compile(rf"{_CONFIDENTIAL}[\"']?\s*:", re.IGNORECASE)
"""A value is YAML, which has keys in it where it stands for more than one variable."""
_ENVIRONMENT_RULE = "have keys that begin with REGISTRY_, of capital letters, digits and underscores"
_PUBLIC_RULE = "have nothing in it that is secret, as everyone who may see pods would read it"
_STACKS_ANNOTATIONS = ("pulumi.com/", "kube-registry/")
_ANNOTATIONS_RULE = f"{ANNOTATIONS_RULE}, and not begin with {' or '.join(_STACKS_ANNOTATIONS)}"

PUBLIC = ("environment", "podAnnotations")
"""The settings that stand in the pods as they are."""


class PodSettings(SettingsModel):
    """What the pods run, how many there are, and what they are told."""

    image: ImageReference = Field(
        default="registry:3.1.2@sha256:ddf754342cfc8acc51a56d5d0ab6af06826461864460636d8bd5c546dab2a7b8",
        examples=["registry:3.1.2"],
        description="The image of the distribution registry, 2.x or 3.x, with a tag or a digest. One with known "
        "faults is warned of.",
    )
    image_pull_secrets: list[SecretName] = Field(
        default=[],
        examples=["mirror"],
        description="The Secrets in the stack's namespace with which the nodes pull the registry's own image, from a "
        "mirror that asks for a login. Left out: none.",
    )
    controller: Literal["Deployment", "ReplicationController"] = Field(
        default="Deployment", description="What keeps the pods running: Deployment or ReplicationController."
    )
    replicas: int = Field(default=2, ge=1, examples=[3], description="How many pods serve the registry, at least 1.")
    pod_annotations: dict[str, AnnotationValue] = Field(
        default={},
        examples=["enabled"],
        json_schema_extra={"together": _ANNOTATIONS_RULE, "entry": "example.com/scan"},
        description="Further annotations of the pods, for what else runs in the cluster. Left out: none.",
    )
    environment: dict[str, AnnotationValue] = Field(
        default={},
        examples=["images"],
        json_schema_extra={
            "together": f"{_ENVIRONMENT_RULE}, {_PUBLIC_RULE}, and not say what the stack says",
            "entry": "REGISTRY_LOG_FIELDS_SERVICE",
        },
        description="Further environment of the registry, which overrides its configuration: REGISTRY_A_B is its a: "
        "{b: ...}. Left out: none.",
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

    @field_validator("pod_annotations")
    @classmethod
    def _annotations_are_the_users_own(cls, annotations: dict[str, str]) -> dict[str, str]:
        if taken := [key for key in annotations if key.startswith(_STACKS_ANNOTATIONS)]:
            raise refused(f"{_ANNOTATIONS_RULE}: not {taken[0]}", "take it out")
        return judged_annotations(annotations)

    @field_validator("environment")
    @classmethod
    def _environment_is_the_registrys_and_no_secret(cls, environment: dict[str, str]) -> dict[str, str]:
        if strange := [name for name in environment if not _VARIABLE.fullmatch(name)]:
            raise refused(
                f"{_ENVIRONMENT_RULE}: not {strange[0]}",
                "take it out, or write it so: REGISTRY_LOG_FIELDS_SERVICE",
                is_secret=True,
            )
        if secret := [
            name
            for name, value in environment.items()
            if _CONFIDENTIAL_NAME.fullmatch(name) or _CONFIDENTIAL_VALUE.search(value)
        ]:
            remedy = f"pulumi config rm --path environment.{secret[0]}"
            raise refused(f"{_PUBLIC_RULE}: not {secret[0]}", remedy, is_secret=True)
        return environment
