"""The post's own two manifests, applied with kubectl, beside what the stack makes: the same but for what is listed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry.live_objects import OWNER
from registry.ownership import PATCH_FORCE
from registry.workload import WAIT_FOR
from sandbox.layout import REGION
from tests.end_to_end.registry_stack import RegistryStack
from tests.forms import POST

MANIFESTS = Path(__file__).parent / "post"
NAMESPACE = "the-post"
POSTS_CHUNK_SIZE = 5242880
ABSENT = None
BALANCER = ".metadata.annotations.service.beta.kubernetes.io/aws-load-balancer-"
GIVEN_BY_THE_CLUSTER = {
    *("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "namespace"),
    *("clusterIP", "clusterIPs", "nodePort", "finalizers"),
}


@pytest.fixture(autouse=True, scope="module")
def deployed(stack: RegistryStack) -> Iterator[None]:
    stack.up(**POST, controller="ReplicationController", replicas=1, chunkSize=POSTS_CHUNK_SIZE)
    apply_the_posts(stack)
    yield
    stack.sandbox.kubectl("delete", "namespace", NAMESPACE)


def apply_the_posts(stack: RegistryStack) -> None:
    """Apply the manifests with their placeholders filled in and the driver's name corrected."""
    access_key, secret_key = stack.access_key()
    text = "---\n".join((MANIFESTS / name).read_text() for name in ("replication-controller.yaml", "service.yaml"))
    for placeholder, value in {
        "value: S3\n": "value: s3\n",
        "<access_key>": access_key,
        "<secret_key>": secret_key,
        "<S3_bucket>": stack.bucket,
        "<secret>": "ahttpsecret",
    }.items():
        assert placeholder in text
        text = text.replace(placeholder, value)
    assert f"value: {REGION}" in text
    objects = list(yaml.safe_load_all(text))
    for one in objects:
        assert one["metadata"]["namespace"] == "kube-system"
        one["metadata"]["namespace"] = NAMESPACE  # the stack's names are taken in one namespace only once
    stack.sandbox.kubectl("create", "namespace", NAMESPACE)
    for one in objects:
        stack.sandbox.kubectl("apply", "--filename=-", stdin=json.dumps(one))


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """The leaves of an object by their paths; list entries by their names."""
    if isinstance(value, dict):
        named = {f"{path}.{key}": inner for key, inner in value.items() if key not in GIVEN_BY_THE_CLUSTER}
    elif isinstance(value, list):
        named = {f"{path}[{one['name'] if isinstance(one, dict) else one}]": one for one in value}
    else:
        return {path: value}
    return {leaf: found for where, inner in named.items() for leaf, found in flat(inner, where).items()}


def differences(stack: RegistryStack, kind: str, name: str) -> dict[str, tuple[Any, Any]]:
    """Where the post's object and the stack's differ: path -> the post's value, the stack's."""
    both = []
    for namespace in (NAMESPACE, stack.name):
        found = stack.sandbox.get(kind, name, "--namespace", namespace)
        annotations = found["metadata"].get("annotations", {})
        for note in ("kubectl.kubernetes.io/last-applied-configuration", "pulumi.com/autonamed", OWNER, PATCH_FORCE):
            annotations.pop(note, None)
        both.append(flat({key: value for key, value in found.items() if key != "status"}))
    posts, stacks = both
    return {
        path: (posts.get(path, ABSENT), stacks.get(path, ABSENT))
        for path in sorted(posts.keys() | stacks.keys())
        if posts.get(path, ABSENT) != stacks.get(path, ABSENT)
    }


def test_the_service_is_the_posts_but_for_what_its_load_balancer_gains(stack: RegistryStack) -> None:
    tags = f"project=registry,stack={stack.name},registry={stack.hostname}"
    assert differences(stack, "service", "kube-registry") == {
        f"{BALANCER}scheme": (ABSENT, "internet-facing"),
        f"{BALANCER}internal": (ABSENT, "false"),
        f"{BALANCER}connection-idle-timeout": (ABSENT, "900"),
        f"{BALANCER}connection-draining-enabled": (ABSENT, "true"),
        f"{BALANCER}connection-draining-timeout": (ABSENT, "300"),
        f"{BALANCER}cross-zone-load-balancing-enabled": (ABSENT, "true"),
        f"{BALANCER}additional-resource-tags": (ABSENT, tags),
    }


def test_the_replication_controller_is_the_posts_but_for_what_is_better(stack: RegistryStack) -> None:
    found = differences(stack, "replicationcontroller", "kube-registry-v0")
    pod = ".spec.template.spec"
    registry = f"{pod}.containers[registry]"

    better = {
        "the image": (f"{registry}.image",),
        "secrets by reference": tuple(
            f"{registry}.env[{name}]"
            for name in (*("REGISTRY_HTTP_SECRET", "REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_S3_SECRETKEY"),)
        ),
        "health, and a drain of what is under way": (
            *(f"{registry}.readinessProbe", f"{registry}.livenessProbe", f"{registry}.lifecycle"),
            *(f"{registry}.env[REGISTRY_HEALTH", f"{registry}.env[REGISTRY_HTTP_DRAINTIMEOUT]"),
            f"{pod}.terminationGracePeriodSeconds",
        ),
        "no pod takes part before S3 has answered it": (
            *(f"{pod}.initContainers[storage-check]", f"{pod}.volumes[storage-check]"),
        ),
        "an update that gives up on such pods in time": (f".metadata.annotations.{WAIT_FOR}",),
        "locations that are good whichever name, port and scheme a client came by": (
            f"{registry}.env[REGISTRY_HTTP_RELATIVEURLS]",
        ),
        "requests and limits": (f"{registry}.resources", f"{registry}.env[GOMEMLIMIT]"),
        "logs in one format, and no traces": (
            *(f"{registry}.env[REGISTRY_LOG_{part}" for part in ("LEVEL", "FORMATTER", "ACCESSLOG_DISABLED")),
            f"{registry}.env[OTEL_TRACES_EXPORTER]",
        ),
        "fewer requests to S3, and to the region's own endpoints": (
            f"{registry}.env[REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR]",
            f"{registry}.env[AWS_S3_US_EAST_1_REGIONAL_ENDPOINT]",
            f"{registry}.env[AWS_STS_REGIONAL_ENDPOINTS]",
        ),
        "encryption by the bucket's default": (f"{registry}.env[REGISTRY_STORAGE_S3_ENCRYPT]",),
        "security": (
            f"{registry}.env[REGISTRY_HTTP_DEBUG_ADDR]",
            *(f"{registry}.securityContext", f"{pod}.securityContext", f"{pod}.enableServiceLinks"),
            *(f"{pod}.serviceAccount", f"{pod}.automountServiceAccountToken"),
        ),
        "the sandbox's S3": (
            *(
                f"{registry}.env[REGISTRY_STORAGE_S3_REGIONENDPOINT]",
                f"{registry}.env[REGISTRY_STORAGE_S3_FORCEPATHSTYLE]",
            ),
        ),
    }
    listed = tuple(path for paths in better.values() for path in paths)
    assert {path: pair for path, pair in found.items() if not path.startswith(listed)} == {}
    for reason, paths in better.items():
        for path in paths:
            assert any(one.startswith(path) for one in found), f"{reason}: {path} is no difference any more"
    assert found[f"{registry}.image"][0] == "registry:2.2.1"
