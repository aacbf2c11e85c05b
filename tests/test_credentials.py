"""The generated secrets."""

from __future__ import annotations

import base64
import json
from typing import Any

import bcrypt
import pytest
from pulumi.runtime.rpc import unwrap_rpc_secret

from registry.credentials import password_hash
from registry.settings import SettingsError
from tests.forms import POST
from tests.mock_engine import Deploy, Deployed


def passwords(deployed: Deployed) -> dict[str, dict[str, Any]]:
    """The inputs of each generated password, by the name of its resource."""
    return {resource.name: resource.inputs for resource in deployed.all("RandomPassword")}


def htpasswd(deployed: Deployed) -> str | None:
    return unwrap_rpc_secret(deployed.named("registry-secret")["stringData"]).get("htpasswd")


def test_the_http_secret_is_long_and_has_no_character_that_means_something_in_yaml(deploy: Deploy) -> None:
    assert deploy().named("registry-http-secret") == {"length": 64, "special": False, "keepers": {"rotation": "1"}}


def test_every_user_has_a_password_and_a_line_with_its_bcrypt_hash(deploy: Deploy) -> None:
    deployed = deploy(users=["ci", "laptop"])
    assert set(passwords(deployed)) == {"registry-http-secret", "registry-password-ci", "registry-password-laptop"}
    lines = [line.split(":") for line in (htpasswd(deployed) or "").splitlines()]
    assert [user for user, _ in lines] == ["ci", "laptop"]
    for user, hash_ in lines:
        assert bcrypt.checkpw(f"result of registry-password-{user}".encode(), hash_.encode())
        assert not bcrypt.checkpw(b"another", hash_.encode())


def test_users_in_another_order_are_the_same_secret_and_who_joins_comes_last(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = deploy(users=["node", "ci"])
    data = {"htpasswd": base64.b64encode((htpasswd(first) or "").encode()).decode()}
    secret = {"type": "kubernetes:core/v1:Secret", "name": "registry-secret", "outputs": {"data": data}}
    monkeypatch.setattr("tests.mock_engine.STATE", [secret])
    monkeypatch.setattr("tests.mock_engine.LAST_OUTPUTS", {"username": "node"})
    again = deploy(users=["ci", "node"])
    assert htpasswd(again) == htpasswd(first) != htpasswd(deploy(users=["ci"]))
    joined = htpasswd(deploy(users=["another", "ci", "node"])) or ""
    assert [line.split(":")[0] for line in joined.splitlines()] == ["node", "ci", "another"]


def test_a_hash_costs_as_much_as_the_one_that_the_registry_takes_for_a_user_it_does_not_know(deploy: Deploy) -> None:
    assert (htpasswd(deploy()) or "").startswith("registry:$2b$05$")


def test_the_same_password_and_salt_have_the_same_hash_in_every_update(deploy: Deploy) -> None:
    assert htpasswd(deploy()) == htpasswd(deploy())
    salts = deploy(users=["ci", "laptop"]).all("RandomBytes")
    assert {salt.name: salt.inputs["length"] for salt in salts} == {
        "registry-password-salt-ci": 16,
        "registry-password-salt-laptop": 16,
    }


@pytest.mark.parametrize("salt", [bytes(16), bytes([255] * 16), bytes(range(16)), bytes(range(240, 256))])
def test_a_salt_of_any_bytes_is_one_that_bcrypt_takes_for_these_bytes(salt: bytes) -> None:
    hash_ = password_hash("secret", base64.b64encode(salt).decode())
    assert bcrypt.checkpw(b"secret", hash_.encode())
    to_base64 = str.maketrans(
        "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    )
    assert base64.b64decode(hash_[7:29].translate(to_base64) + "==") == salt


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


def test_a_rotation_is_another_value_of_any_kind_and_a_number_stays_one_however_it_is_written(deploy: Deploy) -> None:
    def triggers(value: Any) -> tuple[Any, str]:
        rotation = {"accessKey": value, "httpSecret": value}
        deployed = deploy(**{"rotation": rotation} if value is not None else {})
        keepers = deployed.named("registry-http-secret")["keepers"]
        return deployed.options["registry-access-key"].replacement_trigger, keepers["rotation"]

    assert triggers(None) == triggers(1) == triggers("1") == (1, "1")
    assert triggers(2) == triggers("2") == (2, "2")
    assert triggers(1764000000) == triggers("1764000000") == (1764000000, "1764000000")
    assert triggers("2026-11-25") == triggers("2026-11-25 00:00:00 +0000 UTC") == ("2026-11-25", "2026-11-25")


def test_the_docker_config_logs_in_to_each_of_the_hostnames(deploy: Deploy) -> None:
    outputs = deploy(hostnames=["images.example.com"]).outputs
    auths = json.loads(outputs["dockerConfigJson"])["auths"]
    assert list(auths) == ["registry.example.com", "images.example.com"]
    assert auths["registry.example.com"] == auths["images.example.com"]


def test_without_users_there_is_no_password_and_no_htpasswd_file(deploy: Deploy) -> None:
    deployed = deploy(**POST)
    assert set(passwords(deployed)) == {"registry-http-secret"}
    assert htpasswd(deployed) is None
    assert deployed.outputs["dockerConfigJson"] is None


def test_the_outputs_go_on_naming_the_user_that_they_named_whatever_the_order(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deploy(users=["laptop", "ci"]).outputs["username"] == "laptop"
    monkeypatch.setattr("tests.mock_engine.LAST_OUTPUTS", {"username": "ci"})
    deployed = deploy(users=["laptop", "ci"])
    assert (deployed.outputs["username"], deployed.outputs["password"]) == ("ci", "result of registry-password-ci")
    assert deploy(users=["laptop", "node"]).outputs["username"] == "laptop"
    assert deploy(users=["laptop", "ci"], primaryUser="laptop").outputs["username"] == "laptop"


@pytest.mark.parametrize("users", [["laptop"], []], ids=str)
def test_the_primary_user_is_one_of_the_users(deploy: Deploy, users: list[str]) -> None:
    with pytest.raises(SettingsError, match=r"primaryUser is 'ci', but must be one of users"):
        deploy(users=users, primaryUser="ci", anonymousPush=True)
