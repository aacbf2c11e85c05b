"""The registry of the post, by plain HTTP and for everyone: every end-to-end property of it."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
import requests
from botocore.exceptions import ClientError
from pulumi import automation

from sandbox.processes import log_file
from tests.end_to_end.images import pull, push
from tests.end_to_end.registry_client import RegistryClient
from tests.end_to_end.registry_stack import RegistryStack
from tests.end_to_end.secret_scan import assert_no_secret_in_plain_text
from tests.forms import POST
from tests.waiting import PATIENCE_SECONDS, wait_for

MEBIBYTE = 2**20
TAGS = sorted(
    f"{prefix}{version}{suffix}"
    for prefix in ("", "v")
    for version in ("1", "1.1", "1.10", "1.10.1", "10", "11", "110", "2", "2.0")
    for suffix in ("", "-rc")
)
"""Tags that begin with one another."""
NUMBERS = sorted(f"{prefix}{number}" for prefix in ("", "v") for number in (1, 10, 100, 101, 11, 110, 2, 20))
REPOSITORIES = sorted(
    f"{name}{suffix}" for name in (f"team/app{number}" for number in range(40)) for suffix in ("", "-bar", "/bar")
)
"""Repositories whose names begin with one another."""


@pytest.fixture(autouse=True, scope="module")
def deployed(stack: RegistryStack) -> None:
    stack.up(**POST)


def requests_in_the_edges_log(stack: RegistryStack, method: str) -> list[str]:
    """The endpoints that served requests of the method for the stack's hostname, in their order."""
    lines = log_file(stack.sandbox.layout, "edge").read_text().splitlines()
    fields = (line.split() for line in lines)
    return [one[6] for one in fields if len(one) > 6 and one[2:4] == [method, stack.hostname]]


def test_a_second_update_would_change_nothing(stack: RegistryStack) -> None:
    assert stack.preview(**POST) == {}


def test_an_image_is_pushed_and_pulled_by_the_registrys_name(stack: RegistryStack, tmp_path: Path) -> None:
    crane, image = stack.crane(), f"{stack.hostname}/app:1"
    assert stack.outputs["url"] == f"http://{stack.hostname}"
    assert push(crane, image, tmp_path) == pull(crane, image, tmp_path)


def test_every_tag_is_listed_also_one_that_begins_with_another(stack: RegistryStack, tmp_path: Path) -> None:
    crane, client = stack.crane(), RegistryClient(stack)
    push(crane, f"{stack.hostname}/tagged:1", tmp_path)
    client.copy("tagged", "1", [("tagged", tag) for tag in TAGS])
    assert len(TAGS) > 30
    assert sorted(crane("ls", f"{stack.hostname}/tagged").split()) == TAGS
    for page in (None, 1000):
        # The registry's order is that of S3's keys, in which `1.1-rc/` comes before `1.1/`.
        assert sorted(client.listed("/v2/tagged/tags/list", "tags", page)) == TAGS, page


def test_every_tag_is_listed_in_pages_too_where_the_keys_have_the_order_of_the_tags(
    stack: RegistryStack, tmp_path: Path
) -> None:
    """Of others the registry leaves out some, or tells them twice: see docs/operations.md, "Lists of tags"."""
    client = RegistryClient(stack)
    push(stack.crane(), f"{stack.hostname}/numbered:1", tmp_path)
    client.copy("numbered", "1", [("numbered", tag) for tag in NUMBERS])
    for page in (None, 1, 7, 1000):
        assert client.listed("/v2/numbered/tags/list", "tags", page) == NUMBERS, page


def test_every_repository_is_listed_in_one_list_and_in_pages(stack: RegistryStack, tmp_path: Path) -> None:
    crane, client = stack.crane(), RegistryClient(stack)
    push(crane, f"{stack.hostname}/team/app:1", tmp_path)
    client.copy("team/app", "1", [(repository, "1") for repository in REPOSITORIES])
    assert len(REPOSITORIES) == 120
    for listed in (
        crane("catalog", stack.hostname).split(),
        *(client.listed("/v2/_catalog", "repositories", page) for page in (None, 7, 100, 1000)),
    ):
        assert len(listed) == len(set(listed))
        assert sorted(set(listed) & set(REPOSITORIES)) == REPOSITORIES


def test_every_object_is_encrypted_and_none_is_readable_without_credentials(stack: RegistryStack) -> None:
    assert stack.encryptions() == {("AES256", None)}
    url = stack.sandbox.layout.cloud_tls_url
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(stack.sandbox.layout.authority_certificate)
        for key in stack.objects():
            assert session.get(f"{url}/{stack.bucket}/{key}", timeout=PATIENCE_SECONDS).status_code == 403, key


def test_200_mb_go_up_while_pods_take_turns_and_one_is_deleted(stack: RegistryStack, tmp_path: Path) -> None:
    crane, image = stack.crane(), f"{stack.hostname}/big:1"
    before = len(requests_in_the_edges_log(stack, "PATCH"))
    pushed: list[str] = []
    thread = threading.Thread(target=lambda: pushed.append(push(crane, image, tmp_path, 8, 25 * MEBIBYTE)))
    thread.start()
    wait_for(lambda: len(requests_in_the_edges_log(stack, "PATCH")) > before, "layer under way")
    victim = stack.pods()[0]["metadata"]["name"]
    stack.sandbox.kubectl("delete", "pod", victim, "--namespace", stack.name, "--wait=false")
    thread.join()
    assert pushed == [pull(crane, image, tmp_path)]
    assert len(set(requests_in_the_edges_log(stack, "PATCH")[before:])) > 1
    wait_for(lambda: len(stack.pods()) == 2, "successor of the deleted pod")


def test_the_registrys_key_is_good_for_its_bucket_and_nothing_else(stack: RegistryStack) -> None:
    s3, iam = (stack.sandbox.aws(service, *stack.access_key()) for service in ("s3", "iam"))
    s3.put_object(Bucket=stack.bucket, Key="probe", Body=b"x")
    s3.get_object(Bucket=stack.bucket, Key="probe")
    s3.delete_object(Bucket=stack.bucket, Key="probe")
    stack.sandbox.aws("s3").create_bucket(Bucket="somebody-elses")
    stack.sandbox.aws("s3").put_object(Bucket="somebody-elses", Key="theirs", Body=b"x")
    for refused in (
        lambda: s3.get_object(Bucket="somebody-elses", Key="theirs"),
        lambda: s3.list_objects_v2(Bucket="somebody-elses"),
        lambda: s3.put_object(Bucket="somebody-elses", Key="mine", Body=b"x"),
        s3.list_buckets,
        lambda: s3.delete_bucket(Bucket=stack.bucket),
        lambda: s3.delete_bucket_policy(Bucket=stack.bucket),
        iam.list_users,
        lambda: iam.create_access_key(UserName="administrator"),
        iam.get_user,
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            refused()


def test_no_secret_is_anywhere_in_plain_text(stack: RegistryStack) -> None:
    assert_no_secret_in_plain_text(stack)


def test_a_destroy_that_is_refused_or_fails_leaves_the_images_and_all_that_guards_them(
    stack: RegistryStack, tmp_path: Path
) -> None:
    image = f"{stack.hostname}/precious:1"
    digest = push(stack.crane(), image, tmp_path)
    bucket = {"protect": True, "forceDestroy": False, "versioning": True}
    stack.up(**POST, bucket=bucket)
    guards, objects = stack.guards(), images_of(stack)

    refusal = refused_destroy(stack)
    assert "registry-bucket" in refusal
    assert "To unprotect the resource" in refusal
    assert pull(stack.crane(), image, tmp_path) == digest
    refused_destroy(stack, "--skip-preview")
    assert stack.guards() == guards
    stack.pulumi("destroy", "--yes", "--skip-preview", "--exclude-protected")
    assert stack.guards() == guards
    assert images_of(stack) >= objects

    stack.up(**POST, bucket=bucket | {"protect": False})
    assert stack.guards() == guards
    with pytest.raises(automation.CommandError, match="BucketNotEmpty"):
        stack.destroy()
    assert stack.guards() == guards
    assert images_of(stack) >= objects

    stack.up(**POST, bucket=bucket | {"protect": False})
    assert stack.guards() == guards
    assert pull(stack.crane(), image, tmp_path) == digest
    kept = {one["type"] for one in stack.state() if one.get("deletedWith")}
    assert len(kept) == len(guards)


def images_of(stack: RegistryStack) -> set[str]:
    """The keys of what the registry keeps; what pods look at beside it is made anew by each update."""
    return {key for key in stack.objects() if key.startswith("docker/registry/v2/")}


def refused_destroy(stack: RegistryStack, *options: str) -> str:
    """What `pulumi destroy` prints that ends in the refusal to delete what is protected."""
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        stack.pulumi("destroy", "--yes", "--color=never", *options)
    text = refusal.value.stdout
    assert "protected" in text
    return text


def test_destroying_leaves_nothing(stack: RegistryStack) -> None:
    stack.up(**POST)
    bucket, balancer = stack.bucket, stack.outputs["loadBalancerHostname"]
    stack.destroy()
    aws = stack.sandbox.aws
    assert bucket not in [one["Name"] for one in aws("s3").list_buckets()["Buckets"]]
    assert [user["UserName"] for user in aws("iam").list_users()["Users"]] == ["administrator"]
    balancers = aws("elb").describe_load_balancers()["LoadBalancerDescriptions"]
    assert balancer not in [one["DNSName"] for one in balancers]
    records = aws("route53").list_resource_record_sets(HostedZoneId=stack.sandbox.account.zone_id)["ResourceRecordSets"]
    assert f"{stack.hostname}." not in [record["Name"] for record in records]
    kinds = "all,secrets,networkpolicies,endpointslices"
    get = stack.sandbox.get
    # The cluster's own controllers collect what was made of the stack's objects.
    wait_for(lambda: get(kinds, "--namespace", stack.name)["items"] == [], "end of all objects")
