"""What a pod has to pass before it takes part."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
import yaml

from registry.storage_check import PREFIX, explanation, failure
from tests.mock_engine import Deploy, Deployed

CONTROLLERS = pytest.mark.parametrize("controller", ["Deployment", "ReplicationController"])


def check(deployed: Deployed) -> dict[str, Any]:
    (only,) = deployed.pod()["initContainers"]
    return only


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


@CONTROLLERS
def test_a_pod_asks_s3_by_its_own_image_identity_and_environment_before_it_takes_part(
    deploy: Deploy, controller: str
) -> None:
    deployed = deploy(controller=controller)
    container, checks = deployed.pod()["containers"][0], check(deployed)
    assert checks["image"] == container["image"]
    assert checks["securityContext"] == container["securityContext"]
    of_the_pod = deployed.environment()
    of_s3 = {name for name in of_the_pod if name.startswith(("REGISTRY_STORAGE", "AWS_", "OTEL_"))}
    assert environment(checks) == {name: of_the_pod[name] for name in of_s3} | {
        "REGISTRY_STORAGE_S3_ROOTDIRECTORY": f"/{PREFIX}"
    }


def test_the_check_knows_no_secret_but_the_access_key(deploy: Deploy) -> None:
    references = [value for value in environment(check(deploy())).values() if isinstance(value, dict)]
    names = {one["secretKeyRef"]["name"] for one in references}
    assert names == {"registry-access-key-secret-5e6f7a8b"}


def test_the_check_has_a_configuration_of_its_own_wherever_the_image_has_its(deploy: Deploy) -> None:
    deployed = deploy()
    (mount,) = check(deployed)["volumeMounts"]
    (volume,) = [one for one in deployed.pod()["volumes"] if one["name"] == mount["name"]]
    configuration = deployed.one("ConfigMap")
    assert volume["configMap"] == {"name": "registry-storage-check-5e6f7a8b"}
    (name,) = configuration["data"]
    assert check(deployed)["args"] == ["garbage-collect", "--dry-run", f"{mount['mountPath']}/{name}"]
    assert yaml.safe_load(configuration["data"][name])["version"] == 0.1


def test_what_the_check_looks_at_is_there_before_the_pods_and_apart_from_the_images(deploy: Deploy) -> None:
    deployed = deploy()
    objects = deployed.all("BucketObjectv2")
    below = f"{PREFIX}/docker/registry/v2"
    assert {one.inputs["key"] for one in objects} == {
        f"{below}/repositories/storage-check",
        f"{below}/blobs/storage-check",
    }
    assert {one.name for one in objects} <= deployed.options["registry-deployment-kube-system"].depends_on
    for one in objects:
        assert {"registry-encryption", "registry-bucket-policy"} <= deployed.options[one.name].depends_on


def test_an_update_whose_pods_do_not_pass_gives_up_and_tells_why(deploy: Deploy) -> None:
    deployed = deploy()
    assert deployed.one("Deployment")["spec"]["progressDeadlineSeconds"] == 150
    for controller, name in {"Deployment": "deployment", "ReplicationController": "replication-controller"}.items():
        options = deploy(controller=controller).options[f"registry-{name}-kube-system"]
        assert (options.create_timeout, options.update_timeout) == ("150s", "150s")
        assert "explain-storage-check" in options.hooks


def test_the_provider_waits_for_a_replication_controller_by_what_keeps_the_timeout(deploy: Deploy) -> None:
    metadata = deploy(controller="ReplicationController", replicas=3).one("ReplicationController")["metadata"]
    assert metadata["annotations"]["pulumi.com/waitFor"] == "jsonpath={.status.availableReplicas}=3"


FAILURE = (
    'the Kubernetes API server reported that "kube-system/kube-registry" failed to fully initialize or become live: '
    "timed out"
)


@pytest.mark.parametrize(
    ("preview", "error", "tells"),
    [(False, FAILURE, True), (True, FAILURE, False), (False, "deployments.apps is forbidden", False)],
)
def test_only_an_update_that_waited_for_pods_in_vain_is_explained(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, preview: bool, error: str, tells: bool
) -> None:
    deploy(preview=preview)
    told: list[str] = []
    running = pod("new", "2026-01-02T00:00:00Z", state={"running": {"startedAt": "2026-01-02T00:00:01Z"}})
    monkeypatch.setattr("registry.cluster.pods", lambda namespace, labels: [running])
    monkeypatch.setattr("pulumi.log.error", told.append)
    monkeypatch.setattr("registry.storage_check.pulumi.ErrorHook", lambda name, function: function)
    explain: Any = explanation("kube-system", {})
    assert (
        explain(pulumi.ErrorHookArgs("urn", "id", "name", "type", failed_operation="update", errors=[error])) is False
    )
    assert ["does not answer the pod new" in one for one in told] == [True] * tells


def pod(name: str, created: str, **status: Any) -> dict[str, Any]:
    statuses = [{"name": "storage-check", "ready": False, **status}]
    return {
        "metadata": {"name": name, "creationTimestamp": created},
        "status": {"initContainerStatuses": statuses if status else []},
    }


DENIED = (
    "failed to garbage collect: failed to mark: s3aws: AccessDenied: Access Denied\n\tstatus code: 403, request id: 1\n"
)


def test_a_role_that_pods_do_not_get_is_told_as_such() -> None:
    message = DENIED.replace("AccessDenied: Access Denied", "WebIdentityErr: failed to retrieve credentials")
    ended = {"terminated": {"exitCode": 1, "message": message}}
    told = "AWS gives the pod new no credentials: WebIdentityErr: failed to retrieve credentials status code: 403"
    assert (failure([pod("new", "2026-11-25T12:00:00Z", state=ended)]) or "").startswith(told)


def test_what_keeps_pods_from_taking_part_is_told_in_s3s_words() -> None:
    ended = {"terminated": {"exitCode": 1, "message": f"a line before\n{DENIED}"}}
    told = "S3 refuses the pod new: AccessDenied: Access Denied status code: 403, request id: 1"
    assert failure([pod("old", "2026-01-01T00:00:00Z"), pod("new", "2026-01-02T00:00:00Z", state=ended)]) == told
    waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
    assert failure([pod("new", "2026-01-02T00:00:00Z", **waiting)]) == told
    again = {"state": {"running": {"startedAt": "2026-01-02T00:01:00Z"}}, "lastState": ended}
    assert failure([pod("new", "2026-01-02T00:00:00Z", **again)]) == told
    silent = {"terminated": {"exitCode": 137}}
    assert failure([pod("new", "2026-01-02T00:00:00Z", state=silent)]) == (
        "the storage check of the pod new ended with 137: its log has the reason"
    )


def test_an_s3_that_never_answers_is_told_as_that() -> None:
    running = {"running": {"startedAt": "2026-01-02T00:00:01Z"}}
    assert failure([pod("new", "2026-01-02T00:00:00Z", state=running)]) == (
        "S3, or who gives credentials for it, does not answer the pod new, which waits since 2026-01-02T00:00:01Z"
    )


def test_pods_that_passed_or_have_not_begun_are_no_failure_of_s3s() -> None:
    passed = {"state": {"terminated": {"exitCode": 0}}, "ready": True}
    assert failure([]) is None
    assert failure([pod("new", "2026-01-02T00:00:00Z"), pod("old", "2026-01-01T00:00:00Z", **passed)]) is None
    pulled = {"waiting": {"reason": "ImagePullBackOff"}}
    assert failure([pod("new", "2026-01-02T00:00:00Z", state=pulled)]) is None
