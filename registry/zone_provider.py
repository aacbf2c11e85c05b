"""The provider that writes into a hosted zone of another account, by a role there."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pulumi
import pulumi_aws as aws

_OWN = {"allowedAccountIds", "forbiddenAccountIds", "defaultTags", "assumeRoles", "skipCredentialsValidation"}
"""What is of the stack's account, or said here."""
_NUMBERS = {"maxRetries", "tokenBucketRateLimiterCapacity"}
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
    parameters = {name.replace("_", ""): name for name in inspect.signature(aws.ProviderArgs).parameters}
    keys = [key.removeprefix("aws:") for key in pulumi.runtime.get_config_env() if key.startswith("aws:")]
    inherited = {
        parameters[key.lower()]: _secret_if_it_is(key, _value(key, config.get(key) or ""))
        for key in keys
        if key not in _OWN and key.lower() in parameters
    }
    roles = [*(config.get_object("assumeRoles") or []), {"roleArn": role_arn, "sessionName": SESSION_NAME}]
    return aws.Provider(
        "registry-zone",
        **inherited,
        assume_roles=_secret_if_it_is("assumeRoles", roles),
        # Else a role that may not be taken ends the program here, where it cannot say what to do. The zone is looked up
        # with the role before anything is created.
        skip_credentials_validation=True,
    )


def _value(key: str, text: str) -> Any:
    """Objects, lists, truths and numbers are JSON in the configuration, everything else is as it was written."""
    is_json = text[:1] in ("{", "[") or text in ("true", "false") or key in _NUMBERS
    return json.loads(text) if is_json else text


def _secret_if_it_is(key: str, value: Any) -> Any:
    """What is a secret in the configuration stays one."""
    return pulumi.Output.secret(value) if pulumi.runtime.config.is_config_secret(f"aws:{key}") else value
