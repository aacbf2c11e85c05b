"""A roll onto pods that S3 refuses, denies or never answers: it fails and says so, and the pods before serve on."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pulumi import automation

from registry.storage_check import PREFIX
from sandbox.layout import UNUSED_PORT
from tests.end_to_end.registry_client import RegistryClient, Repeatedly
from tests.end_to_end.registry_stack import RegistryStack

PULL_SECONDS = 0.3
FORMS = {
    "deployment": {"controller": "Deployment"},
    "replication controller": {"controller": "ReplicationController"},
    "2.x": {"controller": "Deployment", "image": "registry:2.8.3"},
}


@pytest.fixture(scope="module")
def deployed(stack: RegistryStack) -> RegistryClient:
    stack.up()
    return pushed(stack)


def pushed(stack: RegistryStack) -> RegistryClient:
    client = RegistryClient(stack, stack.outputs["username"], stack.outputs["password"])
    client.push("before", "1", b"before the roll")
    return client


def refused(stack: RegistryStack, client: RegistryClient, **settings: Any) -> str:
    """The mistake that `up` with the settings tells; an image is pulled all the time, without a failure."""
    with Repeatedly(lambda: client.pull("before", "1"), PULL_SECONDS) as pulls, pytest.raises(automation.CommandError):
        stack.up(**settings)
    assert (pulls.failures, pulls.count > 1) == ([], True)
    diagnostics = stack.output.rpartition("Diagnostics:")[2]
    found = re.search(
        r"error: new pods don't take part, so pods that ran before serve on: (.*?)\.\n(.*?)\n\n", diagnostics, re.DOTALL
    )
    assert found, stack.output[-5000:]
    assert f"kubectl logs --namespace {stack.name} --selector k8s-app=kube-registry" in found[2]
    stack.output = ""
    return found[1]


def s3_at(stack: RegistryStack, port: int) -> dict[str, Any]:
    return {"bucket": {"endpoint": f"https://{stack.sandbox.layout.address}:{port}"}}


@pytest.fixture
def silent(stack: RegistryStack) -> Iterator[int]:
    """The port of an S3 that takes connections and never answers."""
    with socket.create_server((stack.sandbox.layout.address, UNUSED_PORT)):
        yield UNUSED_PORT


@pytest.fixture
def denied(stack: RegistryStack) -> Iterator[str]:
    """Has S3 deny the registry's user the listing that only the check makes; returns the action."""
    iam = stack.sandbox.aws("iam")
    (user,) = [one["id"] for one in stack.state() if one["type"] == "aws:iam/user:User"]
    statement = {
        "Effect": "Deny",
        "Action": "s3:ListBucket",
        "Resource": "*",
        "Condition": {"StringLike": {"s3:prefix": f"{PREFIX}/*"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_user_policy(UserName=user, PolicyName="denied", PolicyDocument=document)
    yield "s3:ListBucket"
    iam.delete_user_policy(UserName=user, PolicyName="denied")


def test_an_s3_that_refuses_connections(stack: RegistryStack, deployed: RegistryClient) -> None:
    assert "connection refused" in refused(stack, deployed, **s3_at(stack, 1))


@pytest.mark.changes
def test_an_s3_that_never_answers(stack: RegistryStack, deployed: RegistryClient, silent: int) -> None:
    told = refused(stack, deployed, **s3_at(stack, silent))
    assert "does not answer" in told or "timeout" in told


@pytest.mark.changes
@pytest.mark.usefixtures("denied")
def test_an_s3_that_denies(stack: RegistryStack, deployed: RegistryClient) -> None:
    assert "AccessDenied" in refused(stack, deployed, chunkSize=8 * 2**20)


@pytest.mark.changes
@pytest.mark.parametrize("form", FORMS)
def test_every_form_and_release(stack: RegistryStack, form: str) -> None:
    stack.up(**FORMS[form])
    client = pushed(stack)
    assert "connection refused" in refused(stack, client, **FORMS[form], **s3_at(stack, 1))


def test_the_next_up_that_is_right_brings_the_new_pods(stack: RegistryStack) -> None:
    stack.up()
    assert RegistryClient(stack, stack.outputs["username"], stack.outputs["password"]).pull("before", "1")
    assert stack.preview() == {}
