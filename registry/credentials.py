"""Credentials: the secrets that the registry and its users share."""

from __future__ import annotations

import pulumi
import pulumi_random as random

HTTP_SECRET_LENGTH = 64


class Credentials(pulumi.ComponentResource):
    """Generated secrets.

    Outputs: `http_secret` (secret Output[str]), with which every pod signs the state of uploads, so that an upload can
    go on at another pod.
    """

    http_secret: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("registry:index:Credentials", name, None, opts)

        # Letters and digits only: the registry parses the value as YAML, where `#x` is empty and `@x` an error.
        http_secret = random.RandomPassword(
            f"{name}-http-secret",
            length=HTTP_SECRET_LENGTH,
            special=False,
            opts=pulumi.ResourceOptions(parent=self),
        )

        self.http_secret = http_secret.result
        self.register_outputs({"httpSecret": self.http_secret})
