"""The registry as it is by default: TLS that ends at the load balancer, and users that log in."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from botocore.exceptions import ClientError

from sandbox.aws import server
from tests.end_to_end.images import pull, push, pushes
from tests.end_to_end.registry_client import PULL_SECONDS, PUSH_SECONDS, RegistryClient, Repeatedly
from tests.end_to_end.registry_stack import RegistryStack
from tests.end_to_end.secret_scan import assert_no_secret_in_plain_text
from tests.forms import POST
from tests.waiting import PATIENCE_SECONDS

MEBIBYTE = 2**20
USERS = {"users": ["registry", "ci"]}


@pytest.fixture(autouse=True, scope="module")
def deployed(stack: RegistryStack) -> None:
    stack.up(**USERS)


def client(stack: RegistryStack, user: str = "registry") -> RegistryClient:
    """A client that is logged in."""
    return RegistryClient(stack, user, stack.outputs["passwords"][user])


def attempts(client: RegistryClient) -> set[int]:
    """The status of a request with which a pull begins, and of one with which a push does."""
    return {
        client.request("HEAD", "/v2/app/manifests/1").status_code,
        client.request("POST", "/v2/app/blobs/uploads/").status_code,
    }


def test_a_second_update_would_change_nothing_with_the_users_in_another_order_too(stack: RegistryStack) -> None:
    assert stack.preview(users=USERS["users"][::-1]) == {}


def test_an_image_is_pushed_and_pulled_over_verified_tls(stack: RegistryStack, tmp_path: Path) -> None:
    assert stack.outputs["url"] == f"https://{stack.hostname}"
    crane, image = stack.crane(), f"{stack.hostname}/app:1"
    assert push(crane, image, tmp_path) == pull(crane, image, tmp_path)


def test_a_client_that_does_not_trust_the_authority_refuses_the_registry(stack: RegistryStack) -> None:
    session = client(stack).session()
    session.verify = True
    with pytest.raises(requests.exceptions.SSLError):
        session.get(stack.outputs["url"], timeout=PATIENCE_SECONDS)


def test_without_the_right_password_nothing_is_pushed_or_pulled(stack: RegistryStack) -> None:
    assert attempts(client(stack)) == attempts(client(stack, "ci")) == {200, 202}
    assert attempts(RegistryClient(stack)) == {401}
    assert attempts(RegistryClient(stack, "registry", "wrong")) == {401}
    assert attempts(RegistryClient(stack, "registry", stack.outputs["passwords"]["ci"])) == {401}
    assert attempts(RegistryClient(stack, "nobody", stack.outputs["password"])) == {401}


def test_each_location_is_a_path_and_so_good_whichever_name_port_and_scheme_the_client_came_by(
    stack: RegistryStack,
) -> None:
    locations = client(stack).upload("chunked", bytes(3 * MEBIBYTE), sizes=[MEBIBYTE] * 3)
    assert len(locations) == 5
    assert [one for one in locations if not one.startswith("/v2/chunked/")] == []


def test_the_load_balancer_ends_tls_on_443_drains_and_is_the_stacks_and_80_is_not_served(
    stack: RegistryStack,
) -> None:
    balancer, elb = stack.balancer(), stack.sandbox.aws("elb")
    (description,) = balancer["ListenerDescriptions"]
    listener = description["Listener"]
    assert (listener["Protocol"], listener["LoadBalancerPort"], listener["InstanceProtocol"]) == ("HTTPS", 443, "HTTP")
    certificate = stack.sandbox.aws("acm").describe_certificate(CertificateArn=listener["SSLCertificateId"])
    assert certificate["Certificate"]["DomainName"] == stack.hostname
    assert certificate["Certificate"]["Status"] == "ISSUED"

    name = balancer["LoadBalancerName"]
    (policy,) = elb.describe_load_balancer_policies(LoadBalancerName=name)["PolicyDescriptions"]
    assert description["PolicyNames"] == [policy["PolicyName"]]
    assert [one["AttributeValue"] for one in policy["PolicyAttributeDescriptions"]] == [
        "ELBSecurityPolicy-TLS-1-2-2017-01"
    ]
    attributes = elb.describe_load_balancer_attributes(LoadBalancerName=name)["LoadBalancerAttributes"]
    assert attributes["ConnectionSettings"]["IdleTimeout"] == 900
    assert attributes["ConnectionDraining"] == {"Enabled": True, "Timeout": 300}
    assert attributes["CrossZoneLoadBalancing"] == {"Enabled": True}
    (tagged,) = elb.describe_tags(LoadBalancerNames=[name])["TagDescriptions"]
    tags = {tag["Key"]: tag["Value"] for tag in tagged["Tags"]}
    assert tags.items() >= {"project": "registry", "stack": stack.name, "registry": stack.hostname}.items()

    refused = RegistryClient(stack).request("GET", f"http://{stack.hostname}/v2/")
    assert refused.status_code == 502
    assert "no listener on port 80" in refused.text


def test_metrics_and_debugging_are_not_reached_through_the_load_balancer(stack: RegistryStack) -> None:
    for path in ("/metrics", "/debug/vars", "/debug/pprof/", "/debug/health"):
        assert client(stack).request("GET", path).status_code == 404
    with pytest.raises(requests.exceptions.ProxyError, match="502"):
        client(stack).request("GET", f"https://{stack.hostname}:5001/metrics")


def test_metrics_and_debugging_are_for_the_pod_itself_only(stack: RegistryStack) -> None:
    assert {(host, port) for host, port in listeners(stack) if port in (5000, 5001)} == {
        ("::", 5000),
        ("127.0.0.1", 5001),
    }


def listeners(stack: RegistryStack) -> set[tuple[str, int]]:
    """The addresses and ports on which the stack's registries listen in their pods."""
    found: set[tuple[str, int]] = set()
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("REGISTRY_STORAGE_S3_BUCKET") == stack.bucket:
                for family, file in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
                    found |= listening(Path(f"/proc/{process.pid}/net/{file}").read_text(), family)
    return found


def listening(table: str, family: int) -> set[tuple[str, int]]:
    """The listeners in a table of sockets, of which the kernel writes addresses as words in its own byte order."""
    rows = [line.split() for line in table.splitlines()[1:]]
    locals_ = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {(socket.inet_ntop(family, _network_order(address)), int(port, 16)) for address, port in locals_}


def _network_order(words: str) -> bytes:
    return b"".join(int(words[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(words), 8))


def test_the_logs_are_json_with_a_line_for_a_request_and_none_for_debugging_or_probes(stack: RegistryStack) -> None:
    assert client(stack).request("HEAD", "/v2/app/manifests/1").status_code == 200
    lines = [
        json.loads(line)
        for pod in stack.settled_pods()
        for line in stack.sandbox.kubectl("logs", pod["metadata"]["name"], "--namespace", stack.name).splitlines()
    ]
    assert {line["level"] for line in lines} <= {"info", "warning", "error"}
    asked = {line["http.request.uri"] for line in lines if "http.request.uri" in line}
    assert "/v2/app/manifests/1" in asked
    assert "/" not in asked


def test_every_object_is_encrypted_with_s3s_own_keys(stack: RegistryStack) -> None:
    assert stack.encryptions() == {("AES256", None)}


def test_the_bucket_refuses_plain_http_even_to_the_administrator(stack: RegistryStack) -> None:
    account, url = stack.sandbox.account, stack.sandbox.layout.cloud_url
    plain = server.client("s3", url, account.access_key_id, account.secret_access_key)
    with pytest.raises(ClientError, match="AccessDenied"):
        plain.list_objects_v2(Bucket=stack.bucket)


def test_no_secret_is_anywhere_in_plain_text(stack: RegistryStack) -> None:
    assert stack.secret_outputs == {"password", "passwords", "dockerConfigJson"}
    assert_no_secret_in_plain_text(stack)


@pytest.fixture(scope="module")
def rotated() -> dict[str, Any]:
    """What has been rotated so far: the tests leave it so, as going back is a rotation too."""
    return {}


@pytest.mark.parametrize(
    "rotation",
    [
        {"accessKey": 2, "httpSecret": 2, "password": {"ci": 2}},
        *(pytest.param(one, marks=pytest.mark.changes) for one in ({"accessKey": 3}, {"httpSecret": 3})),
        pytest.param({"password": {"ci": 3}}, marks=pytest.mark.changes),
    ],
    ids=str,
)
def test_a_rotation_fails_no_pull_and_no_push_but_one_that_meets_two_http_secrets(
    stack: RegistryStack, tmp_path: Path, rotation: dict[str, Any], rotated: dict[str, Any]
) -> None:
    key, passwords = stack.access_key(), stack.outputs["passwords"]
    http_secret = stack.container_environment()["REGISTRY_HTTP_SECRET"]
    crane, puller = stack.crane(), client(stack)
    digest = push(crane, f"{stack.hostname}/steady:1", tmp_path)
    pushing = pushes(crane, f"{stack.hostname}/rotation", tmp_path)
    with (
        Repeatedly(lambda: puller.pull("steady", "1"), PULL_SECONDS) as pulls,
        Repeatedly(pushing, PUSH_SECONDS) as pushed,
    ):
        rotated |= rotation
        stack.up(**USERS, rotation=rotated)
    # Crane tries an upload three times within some four seconds, and pods with both secrets may serve for longer.
    refused = [one for one in pushed.failures if "httpSecret" in rotation and one.rstrip().endswith("invalid secret")]
    assert (pulls.failures, pushed.failures) == ([], refused)
    assert (pulls.count >= 10, pushed.count - len(refused) >= 5) == (True, True)
    assert puller.pull("steady", "1") == digest

    assert (stack.access_key() != key) == ("accessKey" in rotation)
    assert (stack.container_environment()["REGISTRY_HTTP_SECRET"] != http_secret) == ("httpSecret" in rotation)
    changed = {user for user in passwords if stack.outputs["passwords"][user] != passwords[user]}
    assert changed == ({"ci"} if "password" in rotation else set())
    if "accessKey" in rotation:
        keys = stack.sandbox.aws("iam").get_access_key_last_used
        with pytest.raises(ClientError):
            keys(AccessKeyId=key[0])
        with pytest.raises(ClientError, match=r"InvalidAccessKeyId|InvalidClientTokenId"):
            stack.sandbox.aws("s3", *key).list_objects_v2(Bucket=stack.bucket)
    stack.settled_pods()
    push(crane, f"{stack.hostname}/settled:1", tmp_path)
    for user in changed:
        assert attempts(RegistryClient(stack, user, passwords[user])) == {401}
        assert 401 not in attempts(client(stack, user))


def test_a_user_that_is_removed_is_locked_out_and_the_others_keep_their_passwords(
    stack: RegistryStack, rotated: dict[str, Any]
) -> None:
    before = stack.outputs["passwords"]
    rotated.pop("password", None)
    stack.up(users=["registry", "laptop"], rotation=rotated)
    stack.settled_pods()
    assert attempts(RegistryClient(stack, "ci", before["ci"])) == {401}
    assert stack.outputs["passwords"]["registry"] == before["registry"]
    assert 401 not in attempts(client(stack, "laptop")) | attempts(client(stack))


@pytest.mark.changes
def test_the_stack_goes_to_the_posts_form_and_back_and_loses_no_object(
    stack: RegistryStack, tmp_path: Path, rotated: dict[str, Any]
) -> None:
    rotated.pop("password", None)  # of users that the post's form has not
    image = f"{stack.hostname}/kept:1"
    digest = push(stack.crane(), image, tmp_path)
    objects = set(stack.objects())

    stack.up(**POST, rotation=rotated)
    stack.await_balancer({80})
    assert stack.outputs["url"] == f"http://{stack.hostname}"
    assert pull(stack.crane(), image, tmp_path) == digest
    post_digest = push(stack.crane(), f"{stack.hostname}/kept:2", tmp_path)

    stack.up(**USERS, rotation=rotated)
    stack.await_balancer({443})
    stack.settled_pods()
    assert pull(stack.crane(), image, tmp_path) == digest
    assert pull(stack.crane(), f"{stack.hostname}/kept:2", tmp_path) == post_digest
    assert attempts(RegistryClient(stack)) == {401}
    assert set(stack.objects()) >= objects
