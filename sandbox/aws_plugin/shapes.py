"""Structures between boto3's form and Pulumi's.

Terraform, and so Pulumi, named the members of these structures after AWS's API: `SSEAlgorithm` is `sseAlgorithm`. The
names differ in case only, and a list of `Key` and `Value` pairs is a map; the rest is in boto3's shapes and the SDK's
types.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.aws_plugin.schema import nested


def to_aws(value: Any, shape: Any) -> Any:
    """boto3's form of the plain `value`, which botocore's `shape` describes; empty and null members are left out."""
    if shape.type_name == "structure":
        members = {name.lower(): name for name in shape.members}
        given = {members[key.lower()]: item for key, item in value.items() if item is not None}
        return {name: to_aws(item, shape.members[name]) for name, item in given.items()}
    if shape.type_name == "list":
        if isinstance(value, Mapping):
            return tag_list(value)
        return [to_aws(item, shape.member) for item in value]
    return value


def from_aws(value: Any, shape: Any, kind: Any) -> Any:
    """Pulumi's form of boto3's `value`; `kind` is the SDK's type of it, whose unknown members are dropped."""
    if shape.type_name == "structure":
        known = {name.lower(): (name, inner) for name, inner in nested(kind).items()}
        return {
            known[name.lower()][0]: from_aws(item, shape.members[name], known[name.lower()][1])
            for name, item in value.items()
            if name.lower() in known
        }
    if shape.type_name == "list":
        if shape.member.type_name == "structure" and set(shape.member.members) == {"Key", "Value"}:
            return tag_map(value)
        return [from_aws(item, shape.member, kind) for item in value]
    return timestamp(value) if isinstance(value, datetime) else value


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """AWS's form of `tags`."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def tag_map(tags: list[dict[str, str]]) -> dict[str, str]:
    """Pulumi's form of AWS's `tags`, without those that AWS itself sets."""
    return {tag["Key"]: tag["Value"] for tag in tags if not tag["Key"].startswith("aws:")}


def timestamp(moment: datetime) -> str:
    """`moment` by RFC 3339, in UTC, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"  # boto3 gives some moments in local time
