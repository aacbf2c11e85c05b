"""Which objects in the cluster are the stack's, and that it takes nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from registry.live_objects import OWNER
from registry.settings import SettingsError
from tests.mock_engine import CLUSTER, Deploy

MARK = "acme/registry/test id of registry-stack-id"
"""That of the stack which the mock engine runs."""
KINDS = ("Deployment", "Service", "ServiceAccount", "NetworkPolicy", "Secret")


def live(kind: str, mark: str | None, **fields: Any) -> dict[str, dict[str, Any]]:
    annotations = {OWNER: mark} if mark else {}
    metadata = {"name": "kube-registry", "namespace": "kube-system", "annotations": annotations}
    return {f"{kind}/kube-registry": {"metadata": metadata, **fields}}


def stranger(mark: str | None = None) -> dict[str, Any]:
    return live("service", mark, status={"loadBalancer": {}}) | live("serviceaccount", mark)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    objects: dict[str, Any] = {}
    monkeypatch.setattr("tests.mock_engine.LIVE_OBJECTS", objects)
    return objects


def test_every_object_says_whose_it_is_and_is_taken_back_from_whoever_changes_it(deploy: Deploy) -> None:
    deployed = deploy()
    for kind in KINDS:
        for resource in deployed.all(kind):
            annotations = resource.inputs["metadata"]["annotations"]
            assert (annotations[OWNER], annotations["pulumi.com/patchForce"]) == (MARK, "true"), resource.name
    controller = deploy(controller="ReplicationController").one("ReplicationController")
    assert controller["metadata"]["annotations"][OWNER] == MARK


def test_no_pod_changes_with_the_owner(deploy: Deploy) -> None:
    assert "annotations" not in deploy().one("Deployment")["spec"]["template"]["metadata"]


def test_strangers_are_refused_together_before_any_other_resource(deploy: Deploy, cluster: dict[str, Any]) -> None:
    cluster |= stranger("acme/registry/other 77aa")
    with pytest.raises(SettingsError) as refusal:
        deploy()
    header, *lines = str(refusal.value).splitlines()
    assert header == (
        "the configuration has 2 mistakes, for the cluster of context test (https://kubernetes.example.com):"
    )
    assert sum("is that of acme/registry/other 77aa" in line for line in lines) == 2


def test_a_namespace_that_does_not_exist_is_refused(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLUSTER, "has_namespace", False)
    with pytest.raises(SettingsError, match="namespace is 'nowhere', but must be a namespace that exists"):
        deploy(namespace="nowhere")


RECORDED = {"type": "pulumi:index:Stash", "name": "registry-cluster", "outputs": {"output": "uid of the first"}}


def test_the_cluster_that_was_first_is_recorded_and_another_is_refused(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deploy().named("registry-cluster") == {"input": "uid of kube-system"}
    monkeypatch.setattr("tests.mock_engine.STATE", [RECORDED])
    with pytest.raises(SettingsError) as refusal:
        deploy()
    _, mistake, *remedy = str(refusal.value).splitlines()
    assert mistake.strip() == (
        "kubernetes:context is 'test', but must lead to the stack's cluster, whose kube-system has the uid uid of the "
        "first, and in this one it is uid of kube-system."
    )
    assert "pulumi state delete 'urn:pulumi:test::registry::registry:index:Ownership$pulumi:index:Stash::" in remedy[-1]
    monkeypatch.setitem(CLUSTER, "uid", "uid of the first")
    assert deploy().named("registry-cluster") == {"input": "uid of the first"}


def test_a_cluster_that_may_not_be_told_from_others_is_warned_of_and_what_is_recorded_stays(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text, **_: warnings.append(text))
    monkeypatch.setitem(CLUSTER, "uid", None)
    assert deploy().all("Stash") == []
    monkeypatch.setattr("tests.mock_engine.STATE", [RECORDED])
    assert deploy().named("registry-cluster") == {"input": "uid of the first"}
    assert sum("whether this is the stack's cluster was not looked at" in text for text in warnings) == 2


def test_a_cluster_is_not_recorded_while_anything_else_is_wrong(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    stashed: list[Any] = []
    monkeypatch.setattr("pulumi.Stash", lambda name, input, **_: stashed.append(input))
    monkeypatch.setattr("tests.mock_engine.AWS", {"getZone": "no matching Route53 Hosted Zone found"})
    with pytest.raises(SettingsError, match=r"zone is 'example\.com'"):
        deploy()
    assert stashed == []


def test_a_stack_that_has_no_cluster_yet_is_not_bound_to_one_without_its_service(
    deploy: Deploy, cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a stack is of a former release, which called the Service's resource otherwise."""
    state = [{"type": "kubernetes:core/v1:Service", "name": "registry-service", "outputs": {}}]
    monkeypatch.setattr("tests.mock_engine.STATE", state)
    monkeypatch.setattr("tests.mock_engine.LAST_OUTPUTS", {"bucketName": "images"})
    with pytest.raises(
        SettingsError,
        match="kubernetes:context is 'test', but must lead to the stack's cluster, which has a Service kube-registry",
    ):
        deploy()
    cluster |= live("service", MARK, spec={}, status={"loadBalancer": {}})
    assert deploy().named("registry-cluster") == {"input": "uid of kube-system"}
    cluster.clear()
    monkeypatch.setattr("tests.mock_engine.STATE", [])  # after a refresh
    assert deploy().named("registry-cluster") == {"input": "uid of kube-system"}


def test_a_refused_cluster_is_never_recorded(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mock_engine.STATE", [RECORDED])
    stashed: list[Any] = []
    monkeypatch.setattr("pulumi.Stash", lambda name, input, **_: stashed.append(input))
    with pytest.raises(SettingsError):
        deploy()
    assert stashed == []


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("test", "pulumi config set kubernetes:context test, which is the current one"),
        (None, "give this cluster's kubeconfig: pulumi config set --secret kubernetes:kubeconfig < FILE"),
    ],
)
def test_a_cluster_that_the_configuration_does_not_name_is_refused(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, context: str | None, command: str
) -> None:
    monkeypatch.setitem(CLUSTER, "is_named", False)
    monkeypatch.setitem(CLUSTER, "context", context)
    with pytest.raises(SettingsError) as refusal:
        deploy()
    assert "kubernetes:context is not set, but must name the stack's cluster, as pulumi destroy" in str(refusal.value)
    assert command in str(refusal.value)


def test_a_refusal_registers_nothing_of_aws_or_kubernetes(
    deploy: Deploy, cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[str] = []
    monkeypatch.setattr(
        "tests.mock_engine.Resource", lambda type_, name, inputs: registered.append(type_) or (type_, name)
    )
    cluster |= stranger()
    with pytest.raises(SettingsError, match="was not made by this stack"):
        deploy()
    assert registered == ["registry:index:Ownership", "random:index/randomUuid:RandomUuid"]


def test_a_stack_without_marks_comes_along_by_what_its_last_outputs_say(
    deploy: Deploy, cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostname = "a1.us-east-1.elb.amazonaws.com"
    cluster |= live("service", None, spec={}, status={"loadBalancer": {"ingress": [{"hostname": hostname}]}})
    with pytest.raises(
        SettingsError, match="service/kube-registry in namespace kube-system was not made by this stack"
    ):
        deploy()
    monkeypatch.setattr("tests.mock_engine.LAST_OUTPUTS", {"loadBalancerHostname": hostname})
    assert deploy().one("Service")["metadata"]["annotations"][OWNER] == MARK


def test_what_was_added_by_hand_is_a_warning(
    deploy: Deploy, cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    cluster |= live("service", MARK, spec={}, status={"loadBalancer": {}}) | live("serviceaccount", MARK)
    fields = {"f:metadata": {"f:labels": {"f:team": {}, "f:k8s-app": {}}}}
    cluster["service/kube-registry"]["metadata"]["managedFields"] = [
        {"manager": "kubectl-label", "operation": "Update", "fieldsV1": fields}
    ]
    deploy()
    assert warnings == [
        "service/kube-registry in namespace kube-system has metadata.labels.team, which this stack did not set and "
        "leaves alone. Remove it by: kubectl label --namespace kube-system service/kube-registry team-"
    ]
