"""A roll onto pods that S3 refuses, denies or never answers: it fails and says so, and the pods before serve on."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pulumi import automation

from registry.storage_check import PREFIX
from sandbox.layout import UNUSED_PORT
from tests.end_to_end.registry_client import RegistryClient, Repeatedly
from tests.end_to_end.registry_stack import RegistryStack

PULL_SECONDS, PUSH_SECONDS = 0.3, 1.0
WAIT_SECONDS, MOST_SECONDS = 145, 180
"""Between how long an update waits for its pods, and what a person is to wait at the most."""
FORMS = {
    "deployment": {"controller": "Deployment"},
    "replication controller": {"controller": "ReplicationController"},
    "2.x": {"controller": "Deployment", "image": "registry:2.8.3"},
}


def pushed(stack: RegistryStack) -> RegistryClient:
    client = RegistryClient(stack, stack.outputs["username"], stack.outputs["password"])
    client.push("before", "1", b"before the roll")
    return client


def refused(stack: RegistryStack, client: RegistryClient, **settings: Any) -> str:
    """The mistake that `up` with the settings tells; an image is pulled all the time, without a failure."""
    with Repeatedly(lambda: client.pull("before", "1"), PULL_SECONDS) as pulls, pytest.raises(automation.CommandError):
        stack.up(**settings)
    assert (pulls.failures, pulls.count > 1) == ([], True)
    waited = re.findall(r"(?:creating|updating)(?: replacement)? \((\d+)s\)", stack.output)
    assert WAIT_SECONDS <= max(map(int, waited)) < MOST_SECONDS  # the engine's own clock
    diagnostics = stack.output.rpartition("Diagnostics:")[2]
    found = re.search(
        r"error: new pods don't take part, so pods that ran before serve on: (.*?)\.\n(.*?)\n\n", diagnostics, re.DOTALL
    )
    assert found, stack.output[-5000:]
    assert f"kubectl logs --namespace {stack.name} --selector k8s-app=kube-registry" in found[2]
    stack.output = ""
    return found[1]


def user_of(stack: RegistryStack) -> str:
    """The name of the registry's IAM user."""
    (user,) = [one["id"] for one in stack.state() if one["type"] == "aws:iam/user:User"]
    return user


def s3_at(stack: RegistryStack, port: int) -> dict[str, Any]:
    return {"bucket": {"endpoint": f"https://{stack.sandbox.layout.address}:{port}"}}


@contextlib.contextmanager
def refusing(stack: RegistryStack) -> Iterator[dict[str, Any]]:
    """Settings for an S3 at which nobody listens."""
    yield s3_at(stack, 1)


@contextlib.contextmanager
def silent(stack: RegistryStack) -> Iterator[dict[str, Any]]:
    """Settings for an S3 that takes connections and never answers."""
    with socket.create_server((stack.sandbox.layout.address, UNUSED_PORT)):
        yield s3_at(stack, UNUSED_PORT)


@contextlib.contextmanager
def denying(stack: RegistryStack) -> Iterator[dict[str, Any]]:
    """Has S3 deny the registry's user the listing that only the check makes. The settings make new pods."""
    iam, user = stack.sandbox.aws("iam"), user_of(stack)
    statement = {
        "Effect": "Deny",
        "Action": "s3:ListBucket",
        "Resource": "*",
        "Condition": {"StringLike": {"s3:prefix": f"{PREFIX}/*"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_user_policy(UserName=user, PolicyName="denied", PolicyDocument=document)
    yield {"chunkSize": "8Mi"}
    iam.delete_user_policy(UserName=user, PolicyName="denied")


CASES = [
    pytest.param("deployment", refusing, "connection refused", id="deployment, refuses"),
    pytest.param("deployment", silent, "does not answer|timeout", id="deployment, never answers"),
    pytest.param("deployment", denying, "AccessDenied", id="deployment, denies"),
    pytest.param("2.x", refusing, "connection refused", id="2.x, refuses"),
    pytest.param("2.x", silent, "does not answer|timeout", id="2.x, never answers"),
    pytest.param("2.x", denying, "AccessDenied", id="2.x, denies"),
    pytest.param("replication controller", refusing, "connection refused", id="replication controller, refuses"),
]


@pytest.mark.changes
@pytest.mark.parametrize(("form", "s3", "cause"), CASES)
def test_a_roll_onto_pods_without_s3_fails_and_the_next_up_that_is_right_ends_it(
    stack: RegistryStack, form: str, s3: Callable[[RegistryStack], Any], cause: str
) -> None:
    stack.up(**FORMS[form])
    client = pushed(stack)
    with s3(stack) as settings:
        assert re.search(cause, refused(stack, client, **FORMS[form] | settings))
        if s3 is refusing:
            assert {1, *egress_before(stack)} <= egress(stack)
    with Repeatedly(lambda: client.pull("before", "1"), PULL_SECONDS) as pulls:
        stack.up(**FORMS[form])
    assert (pulls.failures, pulls.count > 1) == ([], True)
    assert stack.preview(**FORMS[form]) == {}
    assert egress(stack) == egress_before(stack)


@pytest.mark.changes
def test_a_rotation_goes_on_after_an_update_that_failed_and_no_pod_loses_its_key(stack: RegistryStack) -> None:
    stack.up()
    client, former = pushed(stack), stack.access_key()
    rotation = {"rotation": {"accessKey": "2026-11-25"}}
    with refusing(stack) as settings:
        refused(stack, client, **rotation | settings)
    with (
        Repeatedly(lambda: client.pull("before", "1"), PULL_SECONDS) as pulls,
        Repeatedly(lambda: client.push("meanwhile", "1", b"again and again"), PUSH_SECONDS) as pushes,
    ):
        stack.up(**rotation)
    assert (pulls.failures, pulls.count > 1) == ([], True)
    assert (pushes.failures, pushes.count > 1) == ([], True)
    assert stack.access_key() != former
    keys = stack.sandbox.aws("iam").list_access_keys(UserName=user_of(stack))["AccessKeyMetadata"]
    assert [key["AccessKeyId"] for key in keys] == [stack.access_key()[0]]


def egress_before(stack: RegistryStack) -> set[int]:
    """What the NetworkPolicies let out while the settings are right: DNS, HTTPS, and the sandbox's S3."""
    return {53, 443, urlsplit(stack.sandbox.layout.cloud_tls_url).port or 0}


def egress(stack: RegistryStack) -> set[int]:
    """The ports that the NetworkPolicies let out."""
    policies = stack.sandbox.get("networkpolicies", "--namespace", stack.name)["items"]
    rules = [rule for policy in policies for rule in policy["spec"]["egress"]]
    return {port["port"] for rule in rules for port in rule["ports"]}
