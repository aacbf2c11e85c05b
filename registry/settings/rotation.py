"""The settings of which secrets are made anew."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from registry.settings.model import SettingsModel

USERS_RULE = "name only users that are in users"
"""What the passwords to be made anew owe the users, completing "must ..."."""


class RotationSettings(SettingsModel):
    """`rotation`: count a number up, and `pulumi up` makes the secret anew."""

    access_key: int = Field(
        default=1,
        ge=1,
        examples=[2],
        description="Count it up for a new access key of the IAM user. The new one is made, the pods roll onto it, the "
        "old one is deleted; no request fails.",
    )
    http_secret: int = Field(
        default=1,
        ge=1,
        examples=[2],
        description="Count it up for a new HTTP secret, with which the pods sign the state of uploads. An upload that "
        "is under way while they roll onto the new one starts over: clients do that by themselves.",
    )
    password: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={},
        examples=[2],
        json_schema_extra={"together": USERS_RULE},
        description="Count it up for a new password of the user of that name. The old password stops working as the "
        "pods roll; to hand over without a break, let clients move to a second user first. Left out: 1.",
    )
