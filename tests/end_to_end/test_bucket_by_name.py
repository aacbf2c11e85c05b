"""A stack that sets no `bucket.endpoint`, as on AWS: pods and clients find S3 by the names that AWS gives it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from sandbox.layout import REGION
from tests.end_to_end.images import pull, push
from tests.end_to_end.node_pulls import the_node_pulls_an_image_and_runs_it
from tests.end_to_end.registry_client import RegistryClient, digest_of
from tests.end_to_end.registry_stack import RegistryStack


@pytest.fixture(autouse=True, scope="module")
def deployed(stack: RegistryStack) -> None:
    del stack.settings["bucket"]["endpoint"]
    stack.up()


def test_the_registry_pushes_and_pulls_with_no_endpoint_told(stack: RegistryStack, tmp_path: Path) -> None:
    told = stack.container_environment()
    assert not [name for name, value in told.items() if "ENDPOINT" in name and "://" in value]
    image, crane = f"{stack.hostname}/app:1", stack.crane()
    digest = push(crane, image, tmp_path, count=2)
    assert pull(crane, image, tmp_path) == digest
    assert any(key.startswith("docker/registry/v2/repositories/app/") for key in stack.objects())


def test_clients_are_led_to_the_name_of_the_bucket(stack: RegistryStack) -> None:
    client = RegistryClient(stack, stack.outputs["username"], stack.outputs["password"])
    layer = b"a layer that is fetched from S3"
    digest = client.push("layers", "1", layer)
    answer = client.request("GET", f"/v2/layers/blobs/{digest_of(layer)}")
    assert answer.status_code == requests.codes.temporary_redirect
    assert urlsplit(answer.headers["Location"]).netloc == f"{stack.bucket}.s3.{REGION}.amazonaws.com"
    assert client.pull("layers", "1") == digest


def test_the_node_pulls_from_it(stack: RegistryStack, tmp_path: Path) -> None:
    the_node_pulls_an_image_and_runs_it(stack, tmp_path)
