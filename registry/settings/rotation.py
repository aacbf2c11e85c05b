"""The settings of which secrets are made anew."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from registry.settings.model import SettingsModel


class RotationSettings(SettingsModel):
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
