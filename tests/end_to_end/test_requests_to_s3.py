"""What requests cost in requests to S3: the pods' own, but their looks at S3, and without those by signed URLs."""

from __future__ import annotations

import json

import pytest
import requests

from sandbox.aws.server import REQUESTS
from sandbox.processes import log_file
from tests.end_to_end.images import push
from tests.end_to_end.registry_client import MANIFEST, OCI_MANIFEST, RegistryClient
from tests.end_to_end.registry_stack import RegistryStack
from tests.forms import POST
from tests.waiting import wait_for

LAYERS = 10


@pytest.fixture(autouse=True, scope="module")
def deployed(stack: RegistryStack) -> None:
    """One pod, so that what one has learned is known."""
    stack.up(**POST, replicas=1)


@pytest.fixture(scope="module")
def image(stack: RegistryStack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The repository of an image of ten layers, pushed."""
    push(stack.crane(), f"{stack.hostname}/ten-layers:1", tmp_path_factory.mktemp("layers"), count=LAYERS)
    return "ten-layers"


def requests_of_the_pods(stack: RegistryStack) -> list[str]:
    """The requests that S3 has had from the registry for blobs, manifests and tags, in their order."""
    lines = (line.split() for line in log_file(stack.sandbox.layout, REQUESTS).read_text().splitlines())
    return [
        f"{method} {path} {query}"
        for _, method, path, query, _, signature, agent in lines
        if path.startswith(f"/{stack.bucket}/docker/") or (f"/{stack.bucket}" == path and "prefix=docker/" in query)
        if signature == "header" and agent.startswith("aws-sdk-go/")
    ]


def layers_of(client: RegistryClient, repository: str) -> list[str]:
    accept = {"Accept": f"{MANIFEST}, {OCI_MANIFEST}"}
    manifest = json.loads(client.fetch(f"/v2/{repository}/manifests/1", headers=accept))
    return [layer["digest"] for layer in manifest["layers"]]


def new_pod(stack: RegistryStack) -> None:
    """Have another pod in the place of the one, which knows nothing yet."""
    (former,) = stack.settled_pods()
    name = former["metadata"]["name"]
    stack.sandbox.kubectl("delete", "pod", name, "--namespace", stack.name, "--wait=false")
    wait_for(lambda: [pod["metadata"]["name"] for pod in stack.settled_pods()] != [name], "another pod")


def test_a_layer_that_is_known_is_told_of_without_a_request_to_s3(stack: RegistryStack, image: str) -> None:
    client = RegistryClient(stack)
    path = f"/v2/{image}/blobs/{layers_of(client, image)[0]}"
    assert client.request("HEAD", path).status_code == requests.codes.temporary_redirect
    before = requests_of_the_pods(stack)
    for _ in range(5):
        assert client.request("HEAD", path).status_code == requests.codes.temporary_redirect
    assert requests_of_the_pods(stack)[len(before) :] == []


def pull_as_containerd_does(client: RegistryClient, repository: str) -> None:
    """Ask for the tag's digest, then for the manifest by it, the configuration and the layers."""
    accept = {"Accept": f"{MANIFEST}, {OCI_MANIFEST}"}
    head = client.request("HEAD", f"/v2/{repository}/manifests/1", headers=accept)
    digest = head.headers["Docker-Content-Digest"]
    manifest = json.loads(client.fetch(f"/v2/{repository}/manifests/{digest}", headers=accept))
    assert len(manifest["layers"]) == LAYERS
    for blob in [manifest["config"], *manifest["layers"]]:
        assert client.fetch(f"/v2/{repository}/blobs/{blob['digest']}")


def test_a_pull_of_ten_layers_costs_3_requests_where_they_are_known_and_27_at_a_pod_that_is_new(
    stack: RegistryStack, image: str
) -> None:
    client = RegistryClient(stack)
    pull_as_containerd_does(client, image)
    before = requests_of_the_pods(stack)
    pull_as_containerd_does(client, image)
    known = requests_of_the_pods(stack)[len(before) :]
    assert len(known) == 3, known

    new_pod(stack)
    before = requests_of_the_pods(stack)
    pull_as_containerd_does(client, image)
    cold = requests_of_the_pods(stack)[len(before) :]
    assert len(cold) == 27, cold
