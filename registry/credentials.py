"""Credentials: the secrets that the registry and its users share."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import bcrypt
import pulumi
import pulumi_random as random

from registry import stack_state
from registry.settings import RotationSettings

HTTP_SECRET_LENGTH = 64
PASSWORD_LENGTH = 32
BCRYPT_COST = 5
"""The registry hashes at every request with a login: 3 ms of CPU time with this cost, 85 ms with the usual 10. A
password of 32 random characters is not guessed whatever the cost. It is that of the hash with which the registry
compares the password of a user whom it does not know, so that the time of an answer does not tell who exists."""
SALT_LENGTH = 16
"""Bytes, what bcrypt takes."""
PULL_SECRET = "kube-registry"  # noqa: S105 (a name)
"""What the Secret is called with which a cluster's pods pull."""
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPT_BASE64 = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Credentials(pulumi.ComponentResource):
    """Generated secrets. Another value in `rotation` makes one anew.

    Outputs: `http_secret` (secret Output[str]), with which every pod signs the state of uploads, so that an upload can
    go on at another pod; `passwords` (secret Output of a dict, user to password); `htpasswd` (secret Output[str], a
    line `user:bcrypt hash` for each user). Of the primary user: `username` (str), `password` (secret Output[str]) and
    `docker_config_json` (secret Output[str], what a Secret of type kubernetes.io/dockerconfigjson holds), and commands
    without secrets in them: `login_command` (str), which logs docker in, and `pull_secret_command` (str), which makes
    such a Secret. Each is None if there are no users.
    """

    http_secret: pulumi.Output[str]
    passwords: pulumi.Output[Mapping[str, Any]]
    htpasswd: pulumi.Output[str]
    username: str | None = None
    password: pulumi.Output[str] | None = None
    docker_config_json: pulumi.Output[str] | None = None
    login_command: str | None = None
    pull_secret_command: str | None = None

    def __init__(
        self,
        name: str,
        *,
        hostnames: Sequence[str],
        users: Sequence[str],
        primary_user: str,
        rotation: RotationSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("registry:index:Credentials", name, None, opts)

        def secret(role: str, length: int, rotation: int | str) -> random.RandomPassword:
            return random.RandomPassword(
                f"{name}-{role}",
                length=length,
                # Letters and digits only: the registry parses a variable as YAML, where `#x` is empty, `@x` an error.
                special=False,
                keepers={"rotation": str(rotation)},
                opts=pulumi.ResourceOptions(parent=self),
            )

        self.http_secret = secret("http-secret", HTTP_SECRET_LENGTH, rotation.http_secret).result
        passwords = {
            user: secret(f"password-{user}", PASSWORD_LENGTH, rotation.password.get(user, 1)) for user in users
        }
        self.passwords = pulumi.Output.from_input({user: password.result for user, password in passwords.items()})
        salts = {
            user: random.RandomBytes(
                f"{name}-password-salt-{user}",
                length=SALT_LENGTH,
                keepers={"rotation": str(rotation.password.get(user, 1))},
                opts=pulumi.ResourceOptions(parent=self),
            ).base64
            for user in users
        }
        self.htpasswd = pulumi.Output.all(self.passwords, salts).apply(
            lambda both: "".join(f"{user}:{password_hash(both[0][user], both[1][user])}\n" for user in users)
        )
        if users:
            last: str | None = stack_state.last_outputs().get("username")
            unset = last if last and last in users else users[0]
            self.username = user = primary_user or unset
            self.password = passwords[user].result
            self.docker_config_json = self.password.apply(
                lambda password: docker_config_json(hostnames, user, password)
            )
            # An update shows at most 150 characters of each, so they go by the stack that is selected.
            output = "pulumi stack output --show-secrets"
            self.login_command = f"{output} password | docker login --username {user} --password-stdin {hostnames[0]}"
            self.pull_secret_command = (
                f"{output} dockerConfigJson | kubectl create secret docker-registry {PULL_SECRET} "
                "--from-file=.dockerconfigjson=/dev/stdin"
            )
        self.register_outputs({})


def password_hash(password: str, salt: str) -> str:
    """The bcrypt hash of `password`, as a line of an htpasswd file has it, with `salt`: 16 bytes in base64.

    The same for the same arguments, so that nothing changes where nothing is to. bcrypt has the digits of base64 in an
    order of its own, and no padding.
    """
    digits = salt.rstrip("=").translate(str.maketrans(_BASE64, _BCRYPT_BASE64))
    return bcrypt.hashpw(password.encode(), f"$2b${BCRYPT_COST:02}${digits}".encode()).decode()


def docker_config_json(hostnames: Sequence[str], user: str, password: str) -> str:
    """The content of a Docker client's config.json (JSON text) with which it is logged in to each of the hostnames."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    login = {"username": user, "password": password, "auth": auth}
    return json.dumps({"auths": dict.fromkeys(hostnames, login)})
