"""The whole program: what it creates, in what shape, and what it tells other stacks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry.settings import SettingsError
from tests.forms import POST
from tests.mock_engine import Deploy, Resource

CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"
FORMS: list[dict[str, Any]] = [
    {},
    POST,
    {"controller": "ReplicationController", "tls": CERTIFICATE},
    {"hostnames": ["images.example.com"], "accessLogs": {"bucket": "logs"}, "networkPolicy": False},
]
COMPONENTS = {
    "aws:s3/": "Storage",
    "aws:iam/": "Identity",
    "aws:acm/": "Endpoint",
    "aws:route53/": "Endpoint",
    "kubernetes:core/v1:Service": "Endpoint",
    "kubernetes:": "Workload",
    "random:index/randomId:": "Workload",
    "random:index/randomUuid:": "Ownership",
    "random:": "Credentials",
}
"""Who makes a resource, by what its type begins with, the first that fits."""


def component(type_: str, name: str = "") -> str:
    if type_ == "pulumi:index:Stash":
        return "Ownership" if name.endswith("-cluster") else "Workload"
    if type_ == "kubernetes:core/v1:ServiceAccount":
        return "Workload"
    return next(found for begin, found in COMPONENTS.items() if type_.startswith(begin))


EACH_FORM = pytest.mark.parametrize("form", FORMS, ids=str)


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
    components = {"Ownership", "Storage", "Identity", "Credentials", "Workload", "Endpoint"}
    for resource in deploy().engine.resources:
        if resource.type.startswith("registry:index:"):
            assert resource.type.removeprefix("registry:index:") in components
            assert resource.name == "registry"
        else:
            assert resource.name.startswith("registry-")


@EACH_FORM
def test_a_preview_of_a_new_stack_shows_what_the_update_makes(deploy: Deploy, form: dict[str, Any]) -> None:
    def made(resources: list[Resource]) -> list[tuple[str, str]]:
        return sorted((resource.type, resource.name) for resource in resources)

    preview, update = deploy(preview=True, **form), deploy(**form)
    assert made(preview.engine.resources) == made(update.engine.resources)
    assert preview.outputs["hostname"] == "registry.example.com"
    assert (preview.outputs["url"], preview.outputs["loadBalancerHostname"]) == (None, None)


@EACH_FORM
def test_secrets_are_secret_outputs_and_in_kubernetes_secrets_and_nowhere_else(
    deploy: Deploy, form: dict[str, Any]
) -> None:
    deployed = deploy(**form)
    assert deployed.secret_outputs == ({"password", "passwords", "dockerConfigJson"} if form != POST else set())
    for resource in deployed.engine.resources:
        text = json.dumps(resource.inputs, default=str)
        has_secret = "secret of registry-" in text or "result of registry-" in text
        assert has_secret == resource.type.endswith(":Secret"), resource.name


@EACH_FORM
def test_every_resource_is_a_child_of_the_component_that_makes_it(deploy: Deploy, form: dict[str, Any]) -> None:
    deployed = deploy(**form)
    for resource in deployed.engine.resources:
        if not resource.type.startswith("registry:index:"):
            assert deployed.options[resource.name].parent == component(resource.type, resource.name)


def test_only_what_holds_or_guards_data_is_protected(deploy: Deploy) -> None:
    deployed = deploy()
    protected = {name for name, options in deployed.options.items() if options.protect}
    assert protected == {resource.name for resource in deployed.engine.resources if ":s3/bucket" in resource.type} - {
        "registry-storage-check-repositories",
        "registry-storage-check-blobs",
    }


def test_a_tag_of_the_users_takes_the_place_of_the_stacks_whatever_its_case(deploy: Deploy) -> None:
    assert deploy(tags={"Project": "images"}).one("User")["tags"] == {
        "stack": "test",
        "registry": "registry.example.com",
        "Project": "images",
    }


def test_a_mistake_in_the_settings_ends_the_program_before_any_resource(deploy: Deploy) -> None:
    with pytest.raises(SettingsError, match="replicas is '0', but must be at least 1"):
        deploy(replicas=0)


def test_everything_that_can_be_tagged_says_which_stack_it_belongs_to(deploy: Deploy) -> None:
    deployed = deploy()
    expected = {"project": "registry", "stack": "test", "registry": "registry.example.com"}
    for type_ in ("Bucket", "User", "Certificate"):
        assert deployed.one(type_)["tags"] == expected


NAMESPACED = {
    "registry-service": "kubernetes:core/v1:Service",
    "registry-service-account": "kubernetes:core/v1:ServiceAccount",
    "registry-network-policy": "kubernetes:networking.k8s.io/v1:NetworkPolicy",
    "registry-deployment": "kubernetes:apps/v1:Deployment",
    "registry-replication-controller": "kubernetes:core/v1:ReplicationController",
}


@pytest.mark.parametrize("controller", ["Deployment", "ReplicationController"])
def test_what_has_its_namespace_in_its_name_is_what_had_none_before_and_in_another_namespace_is_another(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, controller: str
) -> None:
    outputs = {"metadata": {"namespace": "kube-system"}}
    state = [{"type": type_, "name": name, "outputs": outputs} for name, type_ in NAMESPACED.items()]
    state += [{"type": "pulumi:index:Stash", "name": "registry-cluster", "outputs": {"output": "uid of kube-system"}}]
    monkeypatch.setattr("tests.mock_engine.STATE", state)
    for namespace in ("kube-system", "registry"):
        options = deploy(controller=controller, namespace=namespace).options
        aliases = {name: options[full].aliases for name in NAMESPACED if (full := f"{name}-{namespace}") in options}
        found = {name: {one for one in ones if one in NAMESPACED} for name, ones in aliases.items()}
        assert found == {name: {name} if namespace == "kube-system" else set() for name in found}
        assert len(found) == len(NAMESPACED) - 1


def test_everything_that_can_be_tagged_has_the_users_tags_which_win(deploy: Deploy) -> None:
    deployed = deploy(tags={"team": "platform", "project": "images"})
    expected = {"project": "images", "stack": "test", "registry": "registry.example.com", "team": "platform"}
    for type_ in ("Bucket", "User", "Certificate"):
        assert deployed.one(type_)["tags"] == expected
    annotations = deployed.one("Service")["metadata"]["annotations"]
    tags = annotations["service.beta.kubernetes.io/aws-load-balancer-additional-resource-tags"]
    assert tags == "stack=test,registry=registry.example.com,team=platform,project=images"
