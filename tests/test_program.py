"""The whole program: what it creates, in what shape, and what it tells other stacks."""

from __future__ import annotations

import pytest

from registry.settings import SettingsError
from tests.mock_engine import POST, Deploy


def test_the_outputs_tell_other_stacks_where_the_registry_is_and_how_to_log_in(deploy: Deploy) -> None:
    outputs = deploy(users=["registry", "ci"]).outputs
    del outputs["dockerConfigJson"]
    assert outputs == {
        "hostname": "registry.example.com",
        "url": "https://registry.example.com",
        "bucketName": "registry-bucket-1a2b3c4",
        "loadBalancerHostname": "a1b2.us-east-1.elb.amazonaws.com",
        "username": "registry",
        "password": "result of registry-password-registry",
        "passwords": {"registry": "result of registry-password-registry", "ci": "result of registry-password-ci"},
        "loginCommand": "pulumi stack output --show-secrets password | "
        "docker login --username registry --password-stdin registry.example.com",
        "pullSecretCommand": "pulumi stack output --show-secrets dockerConfigJson | "
        "kubectl create secret docker-registry kube-registry --from-file=.dockerconfigjson=/dev/stdin",
    }


def test_the_post_registry_is_told_by_a_plain_url_and_no_user(deploy: Deploy) -> None:
    outputs = deploy(**POST).outputs
    assert outputs["url"] == "http://registry.example.com"
    assert (outputs["username"], outputs["password"], outputs["passwords"]) == (None, None, {})
    assert (outputs["loginCommand"], outputs["pullSecretCommand"]) == (None, None)


def test_every_resource_is_named_after_its_component_and_role(deploy: Deploy) -> None:
    components = {"Ownership", "Storage", "Identity", "Credentials", "Controller", "Endpoint"}
    for resource in deploy().engine.resources:
        if resource.type.startswith("registry:index:"):
            assert resource.type.removeprefix("registry:index:") in components
            assert resource.name == "registry"
        else:
            assert resource.name.startswith("registry-")


def test_a_mistake_in_the_settings_ends_the_program_before_any_resource(deploy: Deploy) -> None:
    with pytest.raises(SettingsError, match="replicas is '0', but must be at least 1"):
        deploy(replicas=0)


def test_everything_that_can_be_tagged_says_which_stack_it_belongs_to(deploy: Deploy) -> None:
    deployed = deploy()
    expected = {"project": "registry", "stack": "test", "registry": "registry.example.com"}
    assert deployed.one("Bucket")["tags"] == expected
    assert deployed.one("User")["tags"] == expected
    assert deployed.one("Certificate")["tags"] == expected
