"""A hosted zone of another account is read and written by a role there, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry.settings import SettingsError
from tests.mock_engine import PROVIDERS, Deploy

ROLE = "arn:aws:iam::444455556666:role/registry-zone"
RECORDS = {
    "registry-record-registry.example.com",
    "registry-certificate-validation-record-registry.example.com",
}


def test_only_what_is_in_the_zone_is_made_and_asked_for_by_the_role(deploy: Deploy) -> None:
    deployed = deploy(zoneRoleArn=ROLE)
    assert {name for name, options in deployed.options.items() if options.provider == "registry-zone"} == RECORDS
    assert deployed.engine.calls_by_provider["registry-zone"] == {"getZone", "getRecords"}
    assert "getCallerIdentity" in deployed.engine.calls_by_provider[""]


def test_without_a_role_there_is_no_other_provider(deploy: Deploy) -> None:
    deployed = deploy()
    assert {options.provider for options in deployed.options.values()} == {""}
    assert deployed.engine.calls_by_provider.keys() == {""}


def test_the_role_is_taken_as_the_stacks_own_provider_is_configured_but_for_what_is_of_its_account(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = {
        "aws:region": "eu-central-1",
        "aws:profile": "deployer",
        "aws:assumeRoles": '[{"roleArn": "arn:aws:iam::111122223333:role/deployer"}]',
        "aws:skipRegionValidation": "true",
        "aws:s3UsePathStyle": "true",
        "aws:maxRetries": "5",
        "aws:noSuchSetting": "x",
        "aws:defaultTags": '{"tags": {"team": "platform"}}',
    }
    monkeypatch.setattr("tests.mock_engine.PROVIDERS", PROVIDERS | configured)
    provider = deploy(zoneRoleArn=ROLE).named("registry-zone")
    assert (provider["region"], provider["profile"]) == ("eu-central-1", "deployer")
    assert {name: json.loads(provider[name]) for name in ("skipRegionValidation", "s3UsePathStyle", "maxRetries")} == {
        "skipRegionValidation": True,
        "s3UsePathStyle": True,
        "maxRetries": 5,
    }
    assert "allowedAccountIds" not in provider and "defaultTags" not in provider
    assert roles(provider) == ["arn:aws:iam::111122223333:role/deployer", ROLE]


def roles(provider: dict[str, Any]) -> list[str]:
    found = provider["assumeRoles"]
    return [one["roleArn"] for one in (json.loads(found) if isinstance(found, str) else found)]


def test_the_role_is_not_tried_where_the_program_cannot_say_what_to_do(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.mock_engine.PROVIDERS", PROVIDERS | {"aws:skipCredentialsValidation": "false"})
    provider = deploy(zoneRoleArn=ROLE).named("registry-zone")
    assert json.loads(provider["skipCredentialsValidation"]) is True


def test_a_role_that_may_not_be_taken_is_told(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mock_engine.AWS", {"getZone": f"IAM Role ({ROLE}) cannot be assumed"})
    with pytest.raises(SettingsError) as refusal:
        deploy(zoneRoleArn=ROLE)
    assert f"zoneRoleArn is '{ROLE}', but must be a role that these credentials may take" in str(refusal.value)
    assert "sts:AssumeRole" in str(refusal.value)
