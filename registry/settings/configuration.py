"""What is written in Pulumi.<stack>.yaml, as a model of settings takes it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pulumi

from registry.settings.model import SettingsModel


def configured_values(config: pulumi.Config, model: type[SettingsModel]) -> dict[str, Any]:
    """What is set in the bag `config`, by key, unknown to `model` or not; an empty value counts as not set."""
    prefix = f"{config.name}:"
    known = [field.alias or name for name, field in model.model_fields.items()]
    configured = [key.removeprefix(prefix) for key in pulumi.runtime.get_config_env() if key.startswith(prefix)]
    values = {key: config.get(key) for key in dict.fromkeys([*known, *configured])}
    return {key: _parsed(value) for key, value in values.items() if value}


def is_secret(config: pulumi.Config, key: str) -> bool:
    """Whether the key, or anything under it, is encrypted in the stack's file."""
    return f"{config.name}:{key}" in pulumi.runtime.config.get_config_secret_keys_env()


def _parsed(value: str) -> Any:
    """Objects and lists reach a program as JSON, everything else as it was written."""
    if value[0] in "{[":
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(value)
    return value
