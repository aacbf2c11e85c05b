"""What the cluster's objects tell: whose they are, and what was added to them by hand."""

from __future__ import annotations

from typing import Any

import pytest

from registry.live_objects import OWNER, Stack, additions, has_moved_port, keep_additions, refusal, strangers

STACK = Stack(
    "acme/registry/prod", id="1f0c", bucket="registry-bucket-1a2b", load_balancer_hostname="a1.elb.amazonaws.com"
)
OWN_MARK = "acme/registry/prod 1f0c"
DEPLOYMENT, SERVICE = "deployment/kube-registry", "service/kube-registry"
ACCOUNT, POLICY = "serviceaccount/kube-registry", "networkpolicy/kube-registry"


def live(mark: str | None = None, **fields: Any) -> dict[str, Any]:
    annotations = {"annotations": {OWNER: mark}} if mark else {}
    return {"metadata": {"name": "kube-registry", "namespace": "kube-system", **annotations}, **fields}


def workload(mark: str | None = None, bucket: str | None = "registry-bucket-1a2b") -> dict[str, Any]:
    env = [{"name": "REGISTRY_HTTP_ADDR", "value": ":5000"}]
    env += [{"name": "REGISTRY_STORAGE_S3_BUCKET", "value": bucket}] if bucket else []
    return live(mark, spec={"template": {"spec": {"containers": [{"name": "registry", "env": env}]}}})


def service(mark: str | None = None, hostname: str = "a1.elb.amazonaws.com") -> dict[str, Any]:
    return live(mark, status={"loadBalancer": {"ingress": [{"hostname": hostname}]}})


def test_what_bears_the_stacks_mark_is_its_own_without_any_output() -> None:
    first_update_was_broken_off = Stack("acme/registry/prod", id="1f0c")
    objects = {DEPLOYMENT: workload(OWN_MARK), SERVICE: live(OWN_MARK, status={"loadBalancer": {}})}
    assert strangers(objects, first_update_was_broken_off) == []


def test_a_stack_that_was_renamed_keeps_its_objects() -> None:
    assert strangers({SERVICE: service(OWN_MARK)}, Stack("acme/registry/production", id="1f0c")) == []


@pytest.mark.parametrize("mark", ["acme/registry/dev 77aa", "acme/registry/prod 77aa", "acme/registry/dev"])
def test_another_mark_is_anothers_though_it_looks_like_ours(mark: str) -> None:
    objects = {DEPLOYMENT: workload(mark), SERVICE: service(mark), ACCOUNT: live(mark), POLICY: live(mark)}
    assert strangers(objects, STACK) == list(objects)


def test_a_stack_of_the_same_name_in_another_backend_is_another() -> None:
    assert strangers({SERVICE: service(OWN_MARK)}, Stack("acme/registry/prod", id=None)) == [SERVICE]


def test_a_mark_without_an_id_was_set_by_hand_and_goes_by_the_name() -> None:
    assert strangers({SERVICE: service("acme/registry/prod")}, Stack("acme/registry/prod", id=None)) == []


def test_without_a_mark_the_bucket_and_the_load_balancer_are_evidence_and_the_rest_goes_with_them() -> None:
    for evidence in (
        {DEPLOYMENT: workload()},
        {"replicationcontroller/kube-registry-v0": workload()},
        {SERVICE: service()},
    ):
        assert strangers({ACCOUNT: live(), POLICY: live(), **evidence}, STACK) == []


def test_without_a_mark_and_without_evidence_it_is_a_strangers() -> None:
    objects = {
        DEPLOYMENT: workload(bucket="of-the-post"),
        "replicationcontroller/kube-registry-v0": workload(bucket=None),
        SERVICE: service(hostname="b2.elb.amazonaws.com"),
        ACCOUNT: live(),
        POLICY: live(),
    }
    assert strangers(objects, STACK) == list(objects)
    assert strangers({DEPLOYMENT: workload(), SERVICE: service()}, Stack("acme/registry/prod")) == [DEPLOYMENT, SERVICE]


def test_evidence_for_one_does_not_cover_what_speaks_against_another() -> None:
    objects = {DEPLOYMENT: workload(), SERVICE: service(hostname="b2.elb.amazonaws.com"), ACCOUNT: live("other/a/b 1")}
    assert strangers(objects, STACK) == [SERVICE, ACCOUNT]


def test_a_refusal_names_object_namespace_owner_and_remedy_in_five_lines() -> None:
    text = refusal(SERVICE, service("acme/registry/dev 77aa"), STACK)
    assert text.startswith("  service/kube-registry in namespace kube-system is that of acme/registry/dev 77aa.\n")
    assert "pulumi config set namespace ANOTHER" in text
    assert "kubectl delete" not in text
    assert f"--namespace kube-system service/kube-registry {OWNER}=acme/registry/prod" in text
    assert len(text.splitlines()) <= 5
    unmarked = refusal(SERVICE, service(), STACK)
    assert "nothing says whose it is" in unmarked
    assert "kubectl delete --namespace kube-system service/kube-registry" in unmarked
    assert len(unmarked.splitlines()) <= 5


DECLARED = {
    "metadata": {"annotations": {"ours": "1"}, "labels": {"k8s-app": "kube-registry"}},
    "spec": {
        "replicas": 2,
        "ports": [{"name": "registry", "port": 80, "target_port": 5000, "protocol": "TCP"}],
        "template": {
            "metadata": {"labels": {"k8s-app": "kube-registry"}},
            "spec": {
                "containers": [
                    {
                        "name": "registry",
                        "env": [{"name": "REGISTRY_HTTP_ADDR", "value": ":5000"}],
                        "resources": {"limits": {"memory": "488Mi"}},
                    }
                ]
            },
        },
    },
}


def managed(fields: dict[str, Any], manager: str = "kubectl-edit", **entry: str) -> dict[str, Any]:
    found = live()
    found["metadata"]["managedFields"] = [{"manager": manager, "operation": "Update", "fieldsV1": fields, **entry}]
    return found


def container(fields: dict[str, Any]) -> dict[str, Any]:
    registry = {'k:{"name":"registry"}': fields}
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": registry}}}}


@pytest.mark.parametrize(
    ("fields", "path", "command"),
    [
        (
            container({"f:env": {'k:{"name":"EXTRA"}': {".": {}, "f:name": {}, "f:value": {}}}}),
            "spec.template.spec.containers[registry].env[EXTRA]",
            f"kubectl set env --namespace kube-system {DEPLOYMENT} --containers=registry EXTRA-",
        ),
        (
            {"f:metadata": {"f:annotations": {"f:example.com/note": {}}}},
            "metadata.annotations[example.com/note]",
            f"kubectl annotate --namespace kube-system {DEPLOYMENT} example.com/note-",
        ),
        (
            {"f:metadata": {"f:labels": {".": {}, "f:team": {}}}},
            "metadata.labels.team",
            f"kubectl label --namespace kube-system {DEPLOYMENT} team-",
        ),
        (
            container({"f:resources": {"f:limits": {"f:cpu": {}}}}),
            "spec.template.spec.containers[registry].resources.limits.cpu",
            f"kubectl edit --namespace kube-system {DEPLOYMENT}",
        ),
        (
            {"f:spec": {"f:minReadySeconds": {}}},
            "spec.minReadySeconds",
            f"kubectl patch --namespace kube-system {DEPLOYMENT} --type json --patch "
            """'[{"op": "remove", "path": "/spec/minReadySeconds"}]'""",
        ),
        (
            {"f:spec": {"f:ports": {'k:{"port":9090,"protocol":"TCP"}': {".": {}, "f:port": {}}}}},
            "spec.ports[port=9090,protocol=TCP]",
            f"kubectl edit --namespace kube-system {DEPLOYMENT}",
        ),
    ],
)
def test_an_addition_is_told_with_its_path_and_what_removes_it(fields: dict[str, Any], path: str, command: str) -> None:
    (line,) = additions(DEPLOYMENT, managed(fields), DECLARED)
    assert line == (
        f"{DEPLOYMENT} in namespace kube-system has {path}, which this stack did not set and leaves alone. "
        f"Remove it by: {command}"
    )


def test_what_the_stack_declares_is_no_addition_whoever_wrote_it_last() -> None:
    changed = {
        "f:metadata": {"f:annotations": {"f:ours": {}}, "f:labels": {"f:k8s-app": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:targetPort": {}}},
            **container({"f:env": {'k:{"name":"REGISTRY_HTTP_ADDR"}': {"f:value": {}}}})["f:spec"],
        },
    }
    assert additions(DEPLOYMENT, managed(changed), DECLARED) == []


def test_what_was_added_to_a_map_that_is_written_as_a_whole_is_told_by_what_the_object_has() -> None:
    """A Service's selector, which then finds no pod."""
    found = managed({"f:spec": {"f:selector": {}}}) | {"spec": {"selector": {"k8s-app": "registry", "track": "stable"}}}
    (line,) = additions(SERVICE, found, {"spec": {"selector": {"k8s-app": "registry"}}})
    assert "has spec.selector.track, which" in line
    assert line.endswith("""--type json --patch '[{"op": "remove", "path": "/spec/selector/track"}]'""")


def test_a_map_that_is_there_says_nothing_of_whose_its_entries_are() -> None:
    found = managed({"f:metadata": {"f:annotations": {".": {}}}})
    found["metadata"]["annotations"] = {"ours": "", "a-controllers": ""}
    assert additions(SERVICE, found, {"metadata": {"annotations": {"ours": ""}}}) == []


@pytest.mark.parametrize(
    ("manager", "entry"),
    [
        ("kube-controller-manager", {}),
        ("aws-cloud-controller-manager", {}),
        ("pulumi-kubernetes-1a2b3c4d", {}),
        ("kubectl", {"subresource": "scale"}),
        ("somebody", {"subresource": "status"}),
    ],
)
def test_what_controllers_write_is_theirs(manager: str, entry: dict[str, str]) -> None:
    fields = {"f:metadata": {"f:annotations": {"f:example.com/note": {}}, "f:finalizers": {'v:"x"': {}}}}
    assert additions(DEPLOYMENT, managed(fields, manager, **entry), DECLARED) == []


def test_what_tools_keep_for_themselves_is_no_addition() -> None:
    notes = {"f:kubectl.kubernetes.io/last-applied-configuration": {}, "f:deployment.kubernetes.io/revision": {}}
    finalizers = {'v:"service.kubernetes.io/load-balancer-cleanup"': {}}
    found = managed({"f:metadata": {"f:annotations": notes, "f:finalizers": finalizers}}, "some-controller")
    assert additions(DEPLOYMENT, found, DECLARED) == []


def test_an_addition_of_two_managers_is_told_once() -> None:
    found = managed({"f:metadata": {"f:labels": {"f:team": {}}}})
    found["metadata"]["managedFields"] *= 2
    assert len(additions(DEPLOYMENT, found, DECLARED)) == 1


def with_port(port: int, manager: str) -> dict[str, Any]:
    fields = {"f:spec": {"f:ports": {f'k:{{"port":{port},"protocol":"TCP"}}': {".": {}, "f:port": {}}}}}
    return managed(fields, manager) | {"spec": {"ports": [{"name": "registry", "port": port, "protocol": "TCP"}]}}


PORTS = [{"name": "registry", "port": 443, "protocol": "TCP"}]


def test_a_port_that_somebody_gave_another_number_is_moved() -> None:
    assert has_moved_port(with_port(8443, "kubectl-patch"), PORTS)


def test_a_port_that_the_stack_itself_had_under_another_number_is_not_moved() -> None:
    assert not has_moved_port(with_port(80, "pulumi-kubernetes-1a2b3c4d"), PORTS)


def test_a_port_that_somebody_added_or_only_aims_elsewhere_is_not_moved() -> None:
    added = with_port(9090, "kubectl-edit")
    added["spec"]["ports"][0]["name"] = "metrics"
    assert not has_moved_port(added, PORTS)
    assert not has_moved_port(with_port(443, "kubectl-patch"), PORTS)


def test_what_kubectl_added_is_kept_from_the_provider_by_another_name_and_nothing_else_is_changed() -> None:
    found = managed({"f:metadata": {"f:labels": {"f:team": {}}}}, "kubectl-label")
    found["metadata"]["managedFields"] += [
        {"manager": "kube-controller-manager", "operation": "Update"},
        {"manager": "kubectl", "operation": "Update", "subresource": "scale"},
        {"manager": "pulumi-kubernetes-1a2b3c4d", "operation": "Apply"},
        {"manager": "kubectl-set", "operation": "Update"},
        {"manager": "by-hand-kubectl-edit", "operation": "Update"},
    ]
    assert keep_additions(found) == [
        {"op": "replace", "path": "/metadata/managedFields/0/manager", "value": "by-hand-kubectl-label"},
        {"op": "replace", "path": "/metadata/managedFields/4/manager", "value": "by-hand-kubectl-set"},
    ]
