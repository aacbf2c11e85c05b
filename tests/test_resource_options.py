"""What the program tells the engine of a resource beside its inputs, where no other test speaks of it."""

from __future__ import annotations

from typing import Any

import pytest

from registry.live_objects import OWNER
from tests.mock_engine import Deploy, Options

MARK = "acme/registry/test id of registry-stack-id"
"""That of the stack which the mock engine runs."""
LIVE = {
    "Deployment": ("deployment/kube-registry", "registry-deployment-kube-system"),
    "ReplicationController": (
        "replicationcontroller/kube-registry-v0",
        "registry-replication-controller-kube-system",
    ),
    "Service": ("service/kube-registry", "registry-service-kube-system"),
    "ServiceAccount": ("serviceaccount/kube-registry", "registry-service-account-kube-system"),
    "NetworkPolicy": ("networkpolicy/kube-registry", "registry-network-policy-kube-system"),
}
"""By kind: what the object is called in the cluster, and in the program."""
KINDS = pytest.mark.parametrize("kind", LIVE)
CONTROLLERS = pytest.mark.parametrize("controller", ["Deployment", "ReplicationController"])


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    objects: dict[str, Any] = {}
    monkeypatch.setattr("tests.mock_engine.LIVE_OBJECTS", objects)
    return objects


def live(manager: str, port: int = 443) -> dict[str, Any]:
    """An object of the stack, which `manager` has given a label and, if it is the Service, its port."""
    key = f'k:{{"port":{port},"protocol":"TCP"}}'
    fields = {"f:metadata": {"f:labels": {"f:team": {}}}, "f:spec": {"f:ports": {key: {"f:port": {}}}}}
    return {
        "metadata": {
            "name": "kube-registry",
            "namespace": "kube-system",
            "annotations": {OWNER: MARK},
            "managedFields": [{"manager": manager, "operation": "Update", "fieldsV1": fields}],
        },
        "spec": {"ports": [{"name": "registry", "port": port, "protocol": "TCP"}]},
    }


def options(deploy: Deploy, kind: str) -> Options:
    settings = {"controller": kind} if kind == "ReplicationController" else {}
    return deploy(**settings).options[LIVE[kind][1]]


def prepared(found: Options) -> dict[str, str]:
    return {name: when for name, when in found.hooks.items() if name.startswith("prepare-")}


@KINDS
def test_an_object_that_has_additions_of_kubectl_is_prepared_just_before_its_update(
    deploy: Deploy, cluster: dict[str, Any], kind: str
) -> None:
    name, _ = LIVE[kind]
    cluster[name] = live("kubectl-edit")
    assert prepared(options(deploy, kind)) == {f"prepare-{name.partition('/')[0]}": "before_update"}


def test_a_service_whose_port_was_moved_is_prepared_whoever_moved_it(deploy: Deploy, cluster: dict[str, Any]) -> None:
    cluster["service/kube-registry"] = live("somebody", port=8443)
    assert prepared(options(deploy, "Service")) == {"prepare-service": "before_update"}


@KINDS
@pytest.mark.parametrize("manager", [None, "pulumi-kubernetes-1a2b3c4d", "somebody"])
def test_an_object_that_is_not_there_or_that_no_kubectl_has_touched_is_not_prepared(
    deploy: Deploy, cluster: dict[str, Any], kind: str, manager: str | None
) -> None:
    if manager:
        cluster[LIVE[kind][0]] = live(manager)
    assert prepared(options(deploy, kind)) == {}


@CONTROLLERS
def test_pods_that_never_take_part_are_explained_when_the_update_fails(deploy: Deploy, controller: str) -> None:
    assert options(deploy, controller).hooks == {"explain-storage-check": "on_error"}


def test_the_workload_of_a_stack_from_before_it_had_this_type_is_taken_over(deploy: Deploy) -> None:
    assert deploy().options["Workload"].aliases == {"registry:index:Controller"}


@pytest.mark.parametrize("namespace", ["kube-system", "registry"])
def test_the_first_template_is_kept_whatever_comes_also_that_of_a_stack_from_before_its_name_had_the_namespace(
    deploy: Deploy, namespace: str
) -> None:
    deployed = deploy(controller="ReplicationController", namespace=namespace)
    stash = deployed.options[f"registry-first-template-{namespace}"]
    assert stash.ignore_changes == ["input"]
    assert stash.aliases == {"registry-first-template"}


def test_the_access_key_is_made_when_whoever_holds_it_may_use_it(deploy: Deploy) -> None:
    assert "registry-policy" in deploy().options["registry-access-key"].depends_on


def test_the_buckets_policy_and_its_public_access_block_are_never_changed_at_once(deploy: Deploy) -> None:
    assert "registry-public-access-block" in deploy().options["registry-bucket-policy"].depends_on


@pytest.mark.parametrize(("namespace", "waits"), [("registry", True), ("kube-system", False)])
def test_the_former_load_balancer_goes_when_resolvers_have_heard_of_the_other_namespaces(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, namespace: str, waits: bool
) -> None:
    service = {"type": "kubernetes:core/v1:Service", "outputs": {"metadata": {"namespace": "kube-system"}}}
    cluster = {"type": "pulumi:index:Stash", "name": "registry-cluster", "outputs": {"output": "uid of kube-system"}}
    monkeypatch.setattr("tests.mock_engine.STATE", [service, cluster])
    monkeypatch.setattr("tests.mock_engine.LAST_OUTPUTS", {"hostname": "registry.example.com"})
    hooks = deploy(namespace=namespace).options["registry-record-registry.example.com"].hooks
    assert hooks == ({"wait-for-resolvers": "after_update"} if waits else {})
