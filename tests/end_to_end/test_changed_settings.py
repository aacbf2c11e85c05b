"""Each setting, changed on a living stack and back, under a client that pulls and pushes all the time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from pulumi import automation

from registry.settings import MIB
from tests.end_to_end.access_logs import logs_policy
from tests.end_to_end.registry_client import RegistryClient, Repeatedly, digest_of
from tests.end_to_end.registry_stack import RegistryStack
from tests.end_to_end.setting_changes import (
    BASE,
    CHANGES,
    HOSTNAME,
    NAME,
    OTHER_HOSTNAME,
    OTHER_NAMESPACE,
    RECORD,
    Change,
    Surroundings,
)

INTERVAL_SECONDS = 0.2
"""Between the begins of two pulls, and of two pushes, as far as the machine allows."""
NEW_BUCKET = f"{NAME}-moved"
Note = Callable[[str, str, Repeatedly, Repeatedly], None]


@pytest.fixture(scope="module")
def surroundings(stack: RegistryStack) -> Iterator[Surroundings]:
    aws = stack.sandbox.aws
    logs = f"{NAME}-logs"
    aws("s3").create_bucket(Bucket=logs)
    aws("s3").put_bucket_policy(Bucket=logs, Policy=logs_policy(logs))
    stack.sandbox.kubectl("create", "namespace", OTHER_NAMESPACE)
    key = aws("kms").create_key()["KeyMetadata"]["Arn"]
    yield Surroundings(kms_key=key, logs=logs)
    stack.sandbox.kubectl("delete", "namespace", OTHER_NAMESPACE, "--wait=false")


def client(stack: RegistryStack, hostname: str = "") -> RegistryClient:
    """A client of today's, for another name of the registry if one is given."""
    made = RegistryClient(stack, stack.outputs.get("username"), stack.outputs.get("password"))
    made.url = made.url.replace(stack.outputs["hostname"], hostname or stack.outputs["hostname"])
    return made


def pulling(client: RegistryClient) -> Repeatedly:
    return Repeatedly(lambda: client.pull("steady", "1"), INTERVAL_SECONDS)


def pushing(client: RegistryClient) -> Repeatedly:
    return Repeatedly(lambda: client.push("moving", "1", b"again and again"), INTERVAL_SECONDS)


def by_either(
    first: RegistryClient, second: RegistryClient, work: Callable[[RegistryClient], Any]
) -> Callable[[], None]:
    """Does the work by the first client, and by the second where that fails."""

    def do() -> None:
        try:
            work(first)
        except Exception:
            work(second)

    return do


CASES = [
    pytest.param(change, id=" ".join(change.settings), marks=[] if change.is_short else [pytest.mark.changes])
    for change in CHANGES
]


@pytest.mark.parametrize("change", CASES)
def test_a_change_does_what_the_table_says_and_so_does_the_way_back(
    stack: RegistryStack, surroundings: Surroundings, change: Change, note: Note
) -> None:
    base = BASE | dict(change.base)
    if stack.deployed != base:
        stack.up(**base)
        stack.settled_pods()
    for way, settings, expected in (
        ("there", base | change.there(surroundings), dict(change.operations)),
        ("back", base, change.on_the_way_back),
    ):
        user = client(stack)
        digest = user.push("steady", "1", f"before the way {way}".encode())
        with pulling(user) as pulls, pushing(user) as pushes:
            stack.up(**settings)
        note(", ".join(change.settings), way, pulls, pushes)
        assert stack.operations.changes() == expected
        if not change.outage:
            assert (pulls.failures, pushes.failures) == ([], [])
        assert (pulls.count > 1, pushes.count > 1) == (True, True)
        assert client(stack).pull("steady", "1") == digest


@pytest.mark.changes
@pytest.mark.parametrize("tls", ["none", "acm"])
def test_a_hostname_is_handed_over_by_three_updates(stack: RegistryStack, note: Note, tls: str) -> None:
    """The new name first, then the two change places, then the old one goes; images are pulled by both meanwhile."""
    stack.up(**BASE, tls=tls)
    digest = client(stack).push("steady", "1", b"whatever its registry is called")
    stack.up(**BASE, tls=tls, hostnames=[OTHER_HOSTNAME])
    old, new = client(stack, HOSTNAME), client(stack, OTHER_HOSTNAME)
    assert old.pull("steady", "1") == new.pull("steady", "1") == digest
    with pulling(old) as pulls, pushing(new) as pushes:
        stack.up(**BASE, tls=tls, hostname=OTHER_HOSTNAME, hostnames=[HOSTNAME])
    note(f"hostname and hostnames, tls: {tls}", "there", pulls, pushes)
    if tls == "none":
        assert (pulls.failures, pushes.failures) == ([], [])
    with pulling(new) as pulls, pushing(new) as pushes:
        stack.up(**BASE, tls=tls, hostname=OTHER_HOSTNAME)
    note(f"hostnames, tls: {tls}", "the old name goes", pulls, pushes)
    if tls == "none":
        assert (pulls.failures, pushes.failures) == ([], [])
    assert client(stack).pull("steady", "1") == digest
    with pytest.raises(Exception, match=r"502|503|404"):
        old.pull("steady", "1")
    stack.up(**BASE, tls=tls)


@pytest.mark.changes
def test_the_record_moves_to_another_zone(stack: RegistryStack, note: Note) -> None:
    """A zone of the hostname itself takes over when it is made, so that nothing is found until the record is in it."""
    stack.up(**BASE, tls="none")
    user = client(stack)
    digest = user.push("steady", "1", b"whatever zone has its registry's name")
    route53 = stack.sandbox.aws("route53")
    zone = route53.create_hosted_zone(Name=HOSTNAME, CallerReference=NAME)["HostedZone"]["Id"]
    with pulling(user) as pulls, pushing(user) as pushes:
        stack.up(**BASE, tls="none", zoneId=zone.rpartition("/")[2])
    note("zone, zoneId", "there", pulls, pushes)
    assert stack.operations.changes() == {RECORD: "replace"}
    assert user.pull("steady", "1") == digest
    stack.up(**BASE, tls="none")
    route53.delete_hosted_zone(Id=zone)
    assert user.pull("steady", "1") == digest


@pytest.mark.changes
def test_tls_changes_touch_no_pod_and_end_with_the_other_scheme(
    stack: RegistryStack, note: Note, surroundings: Surroundings
) -> None:
    stack.up(**BASE)
    digest = client(stack).push("steady", "1", b"by whatever scheme")
    pods = {pod["metadata"]["name"] for pod in stack.settled_pods()}
    for tls in ("none", "acm"):
        former = client(stack)
        latter = client(stack)
        latter.url = former.url.replace("https:", "http:") if tls == "none" else former.url.replace("http:", "https:")

        with (
            Repeatedly(by_either(former, latter, lambda one: one.pull("steady", "1")), INTERVAL_SECONDS) as pulls,
            Repeatedly(
                by_either(former, latter, lambda one: one.push("moving", "1", b"x")), INTERVAL_SECONDS
            ) as pushes,
        ):
            stack.up(**BASE, tls=tls)
            stack.await_balancer({80 if tls == "none" else 443})
        note("tls", f"to {tls}", pulls, pushes)
        assert latter.pull("steady", "1") == digest
        assert {pod["metadata"]["name"] for pod in stack.settled_pods()} == pods


@pytest.mark.changes
@pytest.mark.parametrize(
    ("former", "latter"), [("registry:2.8.3", "registry:3.1.2"), ("registry:3.1.2", "registry:2.8.3")]
)
def test_an_upload_in_chunks_goes_on_at_pods_of_another_release(
    stack: RegistryStack, former: str, latter: str, note: Note
) -> None:
    """What one release writes of an upload's hash the other does not read: it reads the upload again."""
    stack.up(**BASE, image=former)
    stack.settled_pods()
    user = client(stack)
    chunks = [os.urandom(6 * MIB), os.urandom(1 * MIB)]
    response = user.request("POST", "/v2/chunked/blobs/uploads/")
    response = user.request("PATCH", user.absolute(response.headers["Location"]), data=chunks[0])
    assert response.status_code == requests.codes.accepted
    digest = user.push("steady", "1", b"of the former release")
    with pulling(user) as pulls, pushing(user) as pushes:
        stack.up(**BASE, image=latter)
    note("image, an upload in chunks", f"{former} to {latter}", pulls, pushes)
    stack.settled_pods()
    assert user.pull("steady", "1") == digest
    response = user.request("PATCH", user.absolute(response.headers["Location"]), data=chunks[1])
    assert response.status_code == requests.codes.accepted, response.text
    blob = b"".join(chunks)
    response = user.request("PUT", user.absolute(response.headers["Location"]), params={"digest": digest_of(blob)})
    assert response.status_code == requests.codes.created, response.text
    assert user.fetch(f"/v2/chunked/blobs/{digest_of(blob)}") == blob


@pytest.mark.changes
def test_images_move_into_another_bucket_as_the_documents_say(stack: RegistryStack) -> None:
    stack.up(**BASE)
    digest = client(stack).push("steady", "1", b"that moves")
    former, passwords = stack.bucket, stack.outputs["passwords"]
    with pytest.raises(automation.CommandError, match=f"must stay {former}, where the images are"):
        stack.up(**BASE, bucket={"name": NEW_BUCKET})
    guards = stack.guards()

    s3 = stack.sandbox.aws("s3")
    s3.create_bucket(Bucket=NEW_BUCKET)
    for key in stack.objects():
        s3.copy_object(Bucket=NEW_BUCKET, Key=key, CopySource={"Bucket": former, "Key": key})
    state = stack.directory / "state.json"
    state.write_text(stack.pulumi("stack", "export").replace(f'"{former}"', f'"{NEW_BUCKET}"'))
    stack.pulumi("stack", "import", "--file", str(state))
    stack.up(**BASE, bucket={"name": NEW_BUCKET}, refresh=True)

    assert stack.bucket == NEW_BUCKET
    assert "replace" not in stack.operations.changes().values()
    assert stack.outputs["passwords"] == passwords
    assert client(stack).pull("steady", "1") == digest
    assert list(stack.guards()) == list(guards)
    assert stack.preview(**BASE, bucket={"name": NEW_BUCKET}) == {}
    assert s3.get_bucket_policy(Bucket=former)["Policy"]
    assert s3.list_objects_v2(Bucket=former)["KeyCount"] > 0
