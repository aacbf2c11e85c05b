"""The generated secrets."""

from __future__ import annotations

import base64
import json
from typing import Any

from pulumi.runtime.rpc import is_rpc_secret, unwrap_rpc_secret

from tests.mock_engine import POST, Deploy, Deployed


def passwords(deployed: Deployed) -> dict[str, dict[str, Any]]:
    """The inputs of each generated password, by the name of its resource."""
    return {resource.name: resource.inputs for resource in deployed.all("RandomPassword")}


def htpasswd(deployed: Deployed) -> str | None:
    secret = deployed.named("registry-secret")["stringData"]
    assert is_rpc_secret(secret)
    return unwrap_rpc_secret(secret).get("htpasswd")


def test_the_http_secret_is_long_and_has_no_character_that_means_something_in_yaml(deploy: Deploy) -> None:
    assert deploy().named("registry-http-secret") == {"length": 64, "special": False, "keepers": {"rotation": "1"}}


def test_every_user_has_a_password_and_a_line_with_its_bcrypt_hash(deploy: Deploy) -> None:
    deployed = deploy(users=["ci", "laptop"])
    assert set(passwords(deployed)) == {"registry-http-secret", "registry-password-ci", "registry-password-laptop"}
    assert htpasswd(deployed) == "ci:hash of registry-password-ci\nlaptop:hash of registry-password-laptop\n"


def test_the_users_do_not_change_each_others_passwords(deploy: Deploy) -> None:
    before, after = (passwords(deploy(users=users)) for users in (["ci", "laptop"], ["laptop", "another"]))
    assert before["registry-password-laptop"] == after["registry-password-laptop"]
    assert "registry-password-ci" not in after


def test_a_rotation_makes_the_one_secret_anew_and_leaves_the_others(deploy: Deploy) -> None:
    before = passwords(deploy(users=["ci", "laptop"]))
    after = passwords(deploy(users=["ci", "laptop"], rotation={"password": {"ci": 2}}))
    assert {name for name in before if before[name] != after[name]} == {"registry-password-ci"}
    after = passwords(deploy(users=["ci", "laptop"], rotation={"httpSecret": 2}))
    assert {name for name in before if before[name] != after[name]} == {"registry-http-secret"}


def test_the_docker_config_logs_the_first_user_in_to_the_hostname(deploy: Deploy) -> None:
    outputs = deploy(users=["ci", "laptop"]).outputs
    assert (outputs["username"], outputs["password"]) == ("ci", "result of registry-password-ci")
    assert json.loads(outputs["dockerConfigJson"]) == {
        "auths": {
            "registry.example.com": {
                "username": "ci",
                "password": "result of registry-password-ci",
                "auth": base64.b64encode(b"ci:result of registry-password-ci").decode(),
            }
        }
    }


def test_without_users_there_is_no_password_and_no_htpasswd_file(deploy: Deploy) -> None:
    deployed = deploy(**POST)
    assert set(passwords(deployed)) == {"registry-http-secret"}
    assert htpasswd(deployed) is None
    assert deployed.outputs["dockerConfigJson"] is None
