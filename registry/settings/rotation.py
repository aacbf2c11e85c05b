"""The settings of which secrets are made anew."""

from __future__ import annotations

from pydantic import Field

from registry.settings.model import SettingsModel
from registry.settings.value_types import RotationValue

USERS_RULE = "name only users that are in users"
"""What the passwords to be made anew owe the users, completing "must ..."."""


class RotationSettings(SettingsModel):
    """`rotation`: give another value than before, such as the date, and `pulumi up` makes the secret anew."""

    access_key: RotationValue = Field(
        default=1,
        examples=["2026-11-25"],
        description="Another value than before makes a new access key of the IAM user. The pods roll onto it, then the "
        "former one is deleted; no request fails.",
    )
    http_secret: RotationValue = Field(
        default=1,
        examples=["2026-11-25"],
        description="Another value than before makes a new HTTP secret, with which the pods sign the state of uploads. "
        "An upload that is under way while they roll onto the new one must start over: some clients try that by "
        "themselves a few times, others fail.",
    )
    password: dict[str, RotationValue] = Field(
        default={},
        examples=["2026-11-25"],
        json_schema_extra={"together": USERS_RULE},
        description="Another value than before makes a new password of the user of that name. The old password stops "
        "working as the pods roll; to hand over without a break, let clients move to a second user first. Left out: 1.",
    )
