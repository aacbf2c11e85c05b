"""The settings of access logs."""

from __future__ import annotations

from pydantic import Field

from registry.settings.model import SettingsModel
from registry.settings.value_types import BucketName

OTHER_BUCKET_RULE = "be another bucket than the images', or each log would be logged"
"""What it owes `bucket.name`, completing "must ..."."""


class AccessLogsSettings(SettingsModel):
    """`accessLogs`: who asked bucket and load balancer for what."""

    bucket: BucketName | None = Field(
        default=None,
        examples=["my-access-logs"],
        json_schema_extra={"together": OTHER_BUCKET_RULE},
        description="A bucket of yours in the stack's region and account that gets the access logs of bucket, below "
        "its name, and load balancer, below the hostname. Its policy must let both write, see docs/operations.md. "
        "Left out: there are none.",
    )
