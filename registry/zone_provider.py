"""The provider that writes into a hosted zone of another account, by a role there."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pulumi_aws as aws
from pydantic.alias_generators import to_snake

_OWN = (
    "aws:allowedAccountIds",
    "aws:forbiddenAccountIds",
    "aws:defaultTags",
    "aws:assumeRoles",
    "aws:skipRegionValidation",
)
"""What is of the stack's account, or said here."""
SESSION_NAME = "kube-registry"
"""What CloudTrail calls the role's sessions in the zone's account."""


def zone_provider(role_arn: str) -> aws.Provider | None:
    """A provider like the stack's own that takes the role; None if there is none to take.

    A provider that is made by a program reads nothing of the configuration, so all of `aws:` is given to it. Where that
    has a role itself, it is taken first.
    """
    if not role_arn:
        return None
    config = pulumi.Config("aws")
    inherited: dict[str, Any] = {
        to_snake(key.removeprefix("aws:")): _value(config, key.removeprefix("aws:"))
        for key in pulumi.runtime.get_config_env()
        if key.startswith("aws:") and key not in _OWN
    }
    roles = [*(config.get_object("assumeRoles") or []), {"roleArn": role_arn, "sessionName": SESSION_NAME}]
    return aws.Provider("registry-zone", **inherited, assume_roles=roles)


def _value(config: pulumi.Config, key: str) -> Any:
    """Objects and lists are JSON in the configuration; what is a secret there stays one."""
    text = config.get(key) or ""
    value = json.loads(text) if text[:1] in ("{", "[") else text
    return pulumi.Output.secret(value) if pulumi.runtime.config.is_config_secret(f"aws:{key}") else value
