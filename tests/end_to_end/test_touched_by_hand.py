"""A stack whose objects somebody has touched by hand, and objects of its names that somebody else has made."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi import automation

from registry.live_objects import OWNER
from tests.end_to_end.registry_stack import RegistryStack
from tests.forms import POST

MANIFESTS = Path(__file__).parent / "post"
IDLE_TIMEOUT = "service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout"
DEPLOYMENT, SERVICE = "deployment/kube-registry", "service/kube-registry"
SETTINGS = POST | {"replicas": 1}


@pytest.fixture(autouse=True, scope="module")
def deployed(stack: RegistryStack) -> None:
    stack.up(**SETTINGS)


@pytest.fixture(scope="module")
def second(stack: RegistryStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryStack]:
    """Another stack, that was never deployed."""
    made = RegistryStack(stack.sandbox, "second", tmp_path_factory.mktemp("second"))
    yield made
    made.remove()


def kubectl(stack: RegistryStack, *arguments: str) -> None:
    stack.sandbox.kubectl(*arguments, "--namespace", stack.name)


def get(stack: RegistryStack, name: str) -> dict[str, Any]:
    return stack.sandbox.get(name, "--namespace", stack.name)


def patch(stack: RegistryStack, name: str, path: str, value: Any) -> None:
    operations = [{"op": "replace", "path": path, "value": value}]
    kubectl(stack, "patch", name, "--type=json", f"--patch={json.dumps(operations)}")


def environment(stack: RegistryStack) -> dict[str, Any]:
    (container,) = get(stack, DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def take_back(stack: RegistryStack) -> None:
    """Run one `pulumi up --refresh`, and see that nothing is left to do."""
    stack.up(**SETTINGS, refresh=True)
    assert stack.preview(**SETTINGS) == {}


def try_out(stack: RegistryStack) -> str:
    """Run the preview of what `take_back` would do, at which the API server is asked to try each update.

    Returns what it prints.
    """
    return stack.pulumi("preview", "--refresh", "--non-interactive")


def test_what_the_stack_declares_is_taken_back_and_what_was_added_is_left_and_listed(stack: RegistryStack) -> None:
    declared = environment(stack)
    kubectl(stack, "scale", DEPLOYMENT, "--replicas=2")
    kubectl(stack, "set", "env", DEPLOYMENT, "REGISTRY_HTTP_ADDR=:5001", "REGISTRY_STORAGE_S3_SECURE-", "ADDED=x")
    kubectl(stack, "label", "--overwrite", DEPLOYMENT, "version=v9", "team=a")
    kubectl(stack, "annotate", "--overwrite", SERVICE, f"{IDLE_TIMEOUT}=60", "example.com/note=mine")
    patch(stack, SERVICE, "/spec/ports/0/targetPort", 5001)
    patch(stack, SERVICE, "/spec/ports/0/port", 8080)
    uid, hostname = get(stack, SERVICE)["metadata"]["uid"], stack.outputs["loadBalancerHostname"]
    assert "which this stack did not set" in try_out(stack)
    before = len(stack.output)
    stack.up(**SETTINGS, refresh=True)
    printed = stack.output[before:]

    deployment, service = get(stack, DEPLOYMENT), get(stack, SERVICE)
    assert deployment["spec"]["replicas"] == 1
    assert environment(stack) == declared | {"ADDED": "x"}
    assert (deployment["metadata"]["labels"]["version"], deployment["metadata"]["labels"]["team"]) == ("v0", "a")
    assert service["metadata"]["annotations"][IDLE_TIMEOUT] == "900"
    assert service["metadata"]["annotations"]["example.com/note"] == "mine"
    ports = [(port["name"], port["port"], port["targetPort"]) for port in service["spec"]["ports"]]
    assert ports == [("registry", 80, 5000)]
    assert (service["metadata"]["uid"], stack.outputs["loadBalancerHostname"]) == (uid, hostname)

    namespace = f"--namespace {stack.name}"
    commands = {
        f"has {path}, which this stack did not set and leaves alone. Remove it by: kubectl {command}": command
        for path, command in {
            "spec.template.spec.containers[registry].env[ADDED]": (
                f"set env {namespace} {DEPLOYMENT} --containers=registry ADDED-"
            ),
            # kubectl sets it in every container.
            "spec.template.spec.initContainers[storage-check].env[ADDED]": (
                f"set env {namespace} {DEPLOYMENT} --containers=storage-check ADDED-"
            ),
            "spec.template.spec.initContainers[storage-check].env[REGISTRY_HTTP_ADDR]": (
                f"set env {namespace} {DEPLOYMENT} --containers=storage-check REGISTRY_HTTP_ADDR-"
            ),
            "metadata.labels.team": f"label {namespace} {DEPLOYMENT} team-",
            "metadata.annotations[example.com/note]": f"annotate {namespace} {SERVICE} example.com/note-",
        }.items()
    }
    warnings = {line.partition(" has ")[2] for line in printed.splitlines() if "which this stack did not set" in line}
    assert {f"has {warning}" for warning in warnings} == commands.keys()
    for command in commands.values():
        stack.sandbox.kubectl(*command.split())
    assert "which this stack did not set" not in try_out(stack)
    assert environment(stack) == declared


@pytest.mark.changes
def test_a_service_that_was_led_to_other_pods_is_told_with_the_command_that_leads_it_back(stack: RegistryStack) -> None:
    """A selector is one field to Kubernetes, and the provider sees no difference in one that has more."""
    kubectl(stack, "patch", SERVICE, "--type=merge", '--patch={"spec":{"selector":{"track":"stable"}}}')
    removal = json.dumps([{"op": "remove", "path": "/spec/selector/track"}])
    command = f"patch --namespace {stack.name} {SERVICE} --type json --patch '{removal}'"
    told = f"has spec.selector.track, which this stack did not set and leaves alone. Remove it by: kubectl {command}"
    assert told in try_out(stack)
    stack.sandbox.kubectl(*shlex.split(command))
    assert get(stack, SERVICE)["spec"]["selector"] == {"k8s-app": "kube-registry"}
    assert "which this stack did not set" not in try_out(stack)


@pytest.mark.changes
def test_a_deleted_deployment_secret_and_service_are_made_anew(stack: RegistryStack) -> None:
    before = stack.container_environment()
    (container,) = get(stack, DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
    (secret,) = (
        one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"] if one["name"] == "REGISTRY_HTTP_SECRET"
    )
    kubectl(stack, "delete", f"secret/{secret}", SERVICE, DEPLOYMENT)
    try_out(stack)
    take_back(stack)
    assert get(stack, DEPLOYMENT)["status"]["readyReplicas"] == 1
    assert stack.container_environment() == before
    (ingress,) = get(stack, SERVICE)["status"]["loadBalancer"]["ingress"]
    assert ingress["hostname"] == stack.outputs["loadBalancerHostname"]
    assert stack.balancer()["DNSName"] == ingress["hostname"]


@pytest.mark.changes
def test_a_record_that_was_made_but_is_not_in_the_state_is_the_stacks_if_it_leads_to_its_load_balancer(
    stack: RegistryStack,
) -> None:
    """So it is after an update that was killed before it could note the record."""
    (urn,) = (one["urn"] for one in stack.state() if one["urn"].endswith(f"::registry-record-{stack.hostname}"))
    stack.pulumi("state", "delete", urn, "--yes")
    assert stack.preview(**SETTINGS) == {f"registry-record-{stack.hostname}": "create"}
    stack.up(**SETTINGS)
    assert stack.preview(**SETTINGS) == {}


def refusal(stack: RegistryStack, namespace: str) -> str:
    """What `pulumi preview` says of what is in the way; it makes nothing."""
    with pytest.raises(automation.CommandError) as error:
        stack.preview(**SETTINGS, namespace=namespace)
    text = str(error.value)
    assert "Traceback" not in text
    return text


def test_a_second_stack_in_the_namespace_is_refused_with_the_name_of_the_first(
    stack: RegistryStack, second: RegistryStack
) -> None:
    text = refusal(second, stack.name)
    for name in (DEPLOYMENT, SERVICE, "serviceaccount/kube-registry", "networkpolicy/kube-registry"):
        assert f"{name} in namespace {stack.name} is that of organization/registry/{stack.name} " in text
    assert (
        f"kubectl annotate --overwrite --namespace {stack.name} {SERVICE} {OWNER}=organization/registry/second" in text
    )


def test_the_posts_hand_made_objects_are_refused(second: RegistryStack) -> None:
    for file in ("replication-controller.yaml", "service.yaml"):
        made = yaml.safe_load((MANIFESTS / file).read_text())
        made["metadata"]["namespace"] = second.name
        if made["kind"] == "ReplicationController":
            made["spec"]["replicas"] = 0
        second.sandbox.kubectl("apply", "--filename=-", stdin=json.dumps(made))
    text = refusal(second, second.name)
    for name in ("replicationcontroller/kube-registry-v0", SERVICE):
        assert f"{name} in namespace {second.name} was not made by this stack: nothing says whose it is." in text


@pytest.mark.changes
def test_a_stack_of_a_former_release_whose_objects_bear_no_mark_comes_along(stack: RegistryStack) -> None:
    objects = [DEPLOYMENT, SERVICE, "serviceaccount/kube-registry", "networkpolicy/kube-registry"]
    uids = [get(stack, name)["metadata"]["uid"] for name in objects]
    kubectl(stack, "annotate", *objects, f"{OWNER}-", "pulumi.com/patchForce-")
    take_back(stack)
    for name, uid in zip(objects, uids, strict=True):
        metadata = get(stack, name)["metadata"]
        assert metadata["annotations"][OWNER].startswith(f"organization/registry/{stack.name} ")
        assert (metadata["annotations"]["pulumi.com/patchForce"], metadata["uid"]) == ("true", uid)
