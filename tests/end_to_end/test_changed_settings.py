"""Each setting, changed on a living stack and back, under a client that pulls and pushes all the time."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from pulumi import automation

from registry.settings import MIB
from sandbox.layout import DOMAIN, REGION
from tests.end_to_end.access_logs import logs_policy
from tests.end_to_end.changing import INTERVAL_SECONDS, Note, client, go_there_and_back, pulling, pushing
from tests.end_to_end.identities import made_boundary
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
from tests.end_to_end.zone_account import zone_rights
from tests.waiting import wait_for

pytestmark = pytest.mark.changes

NEW_BUCKET = f"{NAME}-moved"


@pytest.fixture(scope="module")
def surroundings(stack: RegistryStack) -> Iterator[Surroundings]:
    aws = stack.sandbox.aws
    logs = f"{NAME}-logs"
    aws("s3").create_bucket(Bucket=logs)
    aws("s3").put_bucket_policy(Bucket=logs, Policy=logs_policy(logs))
    stack.sandbox.kubectl("create", "namespace", OTHER_NAMESPACE)
    key = aws("kms").create_key()["KeyMetadata"]["Arn"]
    yield Surroundings(
        kms_key=key,
        logs=logs,
        endpoint=stack.sandbox.layout.cloud_url,
        subnet=stack.sandbox.account.subnet_id,
        zone_role=zone_role(stack),
        boundary=made_boundary(stack),
        oidc_provider=aws("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"][0]["Arn"],
    )
    stack.sandbox.kubectl("delete", "namespace", OTHER_NAMESPACE, "--wait=false")


def zone_role(stack: RegistryStack) -> str:
    """The ARN of a new role that may write into the zone, and that the account's principals may take."""
    iam, zone = stack.sandbox.aws("iam"), stack.sandbox.account.zone_id
    account = stack.sandbox.aws("sts").get_caller_identity()["Account"]
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    rights = {"Version": "2012-10-17", "Statement": zone_rights(zone)}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=document)["Role"]
    iam.put_role_policy(RoleName=NAME, PolicyName="zone", PolicyDocument=json.dumps(rights))
    return role["Arn"]


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
    pytest.param(change, id=" ".join(change.settings), marks=[pytest.mark.short] if change.is_short else [])
    for change in CHANGES
]


@pytest.mark.parametrize("change", CASES)
def test_a_change_does_what_the_table_says_and_so_does_the_way_back(
    stack: RegistryStack, surroundings: Surroundings, change: Change, note: Note
) -> None:
    go_there_and_back(stack, change, surroundings, note)


@pytest.mark.usefixtures("surroundings")
def test_a_change_of_the_namespace_that_was_broken_off_is_taken_back(stack: RegistryStack, note: Note) -> None:
    """The account's quota of load balancers is used up, as there are two for a moment."""
    stack.up(**BASE)
    user = client(stack)
    digest = user.push("steady", "1", b"wherever its registry is")
    namespace = ("--namespace", OTHER_NAMESPACE)
    stack.sandbox.kubectl("create", "quota", "no-balancers", "--hard=services.loadbalancers=0", *namespace)
    with pulling(user) as pulls, pushing(user) as pushes:
        with pytest.raises(automation.CommandError, match="exceeded quota: no-balancers"):
            stack.up(**BASE, namespace=OTHER_NAMESPACE)
        stack.up(**BASE)
    note("namespace", "broken off, and back", pulls, pushes)
    stack.sandbox.kubectl("delete", "quota", "no-balancers", *namespace)
    assert (pulls.failures, pushes.failures) == ([], [])
    assert user.pull("steady", "1") == digest
    left = stack.sandbox.get("deployments,services,networkpolicies", *namespace)["items"]
    assert [one["metadata"]["name"] for one in left] == []


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


ZONES: dict[str, Callable[[str], dict[str, Any]]] = {
    "zone": lambda _: {"zone": HOSTNAME},
    "zoneId": lambda zone: {"zoneId": zone},
    "privateZone": lambda _: {"privateZone": True},
}


@pytest.fixture
def make_zone(stack: RegistryStack) -> Iterator[Callable[..., str]]:
    """Makes hosted zones; returns the id of each."""
    route53, made = stack.sandbox.aws("route53"), list[str]()

    def make(name: str, **arguments: Any) -> str:
        zone = route53.create_hosted_zone(Name=name, CallerReference=f"{name} {len(made)}", **arguments)["HostedZone"]
        made.append(zone["Id"].rpartition("/")[2])
        return made[-1]

    yield make
    for zone in made:
        for record in route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]:
            if record["Type"] not in ("NS", "SOA"):
                change = {"Action": "DELETE", "ResourceRecordSet": record}
                route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})
        route53.delete_hosted_zone(Id=zone)


@pytest.mark.parametrize("setting", ZONES)
def test_the_record_moves_to_another_zone_and_back(
    stack: RegistryStack, make_zone: Callable[..., str], note: Note, setting: str
) -> None:
    """A zone that is made takes the name over at once, so that nothing is found until the record is in it."""
    base = BASE | {"tls": "none"}
    stack.up(**base)
    user = client(stack)
    digest = user.push("steady", "1", f"whatever {setting} says".encode())
    if setting == "privateZone":
        vpc = {"VPCRegion": REGION, "VPCId": stack.sandbox.account.vpc_id}
        zone = make_zone(DOMAIN, VPC=vpc, HostedZoneConfig={"PrivateZone": True})
    else:
        zone = make_zone(HOSTNAME)
    with pulling(user) as pulls, pushing(user) as pushes:
        stack.up(**base, **ZONES[setting](zone))
    note(setting, "there", pulls, pushes)
    assert stack.operations.changes() == {RECORD: "replace"}
    assert user.pull("steady", "1") == digest
    stack.up(**base)
    assert stack.operations.changes() == {RECORD: "replace"}


def certificate_of(stack: RegistryStack) -> str:
    """The ARN of another certificate for the hostname, which the stack's own record proves."""
    acm = stack.sandbox.aws("acm")
    arn = acm.request_certificate(DomainName=HOSTNAME, ValidationMethod="DNS")["CertificateArn"]
    wait_for(
        lambda: acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"] == "ISSUED",
        "a certificate that is issued",
    )
    return arn


def test_tls_changes_touch_no_pod_and_end_with_the_other_scheme(stack: RegistryStack, note: Note) -> None:
    """From each of the three to each. Until the listener is the other one, connections are refused, nothing else."""
    stack.up(**BASE)
    digest = client(stack).push("steady", "1", b"by whatever scheme")
    pods = {pod["metadata"]["name"] for pod in stack.settled_pods()}
    arn = certificate_of(stack)
    former = "acm"
    for tls in ("none", arn, "none", "acm", arn, "acm"):
        before = client(stack)
        after = client(stack)
        after.url = f"{'http' if tls == 'none' else 'https'}://{HOSTNAME}"
        with (
            Repeatedly(by_either(before, after, lambda one: one.pull("steady", "1")), INTERVAL_SECONDS) as pulls,
            Repeatedly(
                by_either(before, after, lambda one: one.push("moving", "1", b"again and again")), INTERVAL_SECONDS
            ) as pushes,
        ):
            stack.up(**BASE, tls=tls)
            stack.await_balancer({80 if tls == "none" else 443})
        note("tls", " to ".join("ARN" if one == arn else one for one in (former, tls)), pulls, pushes)
        former = tls
        assert (pulls.count > 1, pushes.count > 1) == (True, True)
        refusals = re.compile("ProxyError|SSLError|ConnectionError|HTTPError: 50[234]")
        assert [one for one in (*pulls.failures, *pushes.failures) if not refusals.search(one)] == []
        assert after.pull("steady", "1") == digest
        assert {pod["metadata"]["name"] for pod in stack.settled_pods()} == pods


@pytest.mark.parametrize(
    ("former", "latter"), [("registry:2.8.3", "registry:3.1.2"), ("registry:3.1.2", "registry:2.8.3")]
)
def test_uploads_in_chunks_go_on_at_pods_of_another_release(
    stack: RegistryStack, former: str, latter: str, note: Note
) -> None:
    """While the pods roll, each chunk of a push goes to whichever takes it, and one upload waits for them all to go."""
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
    note("image", f"{former} to {latter}", pulls, pushes)
    assert (pulls.failures, pushes.failures) == ([], [])
    stack.settled_pods()
    assert user.pull("steady", "1") == digest
    response = user.request("PATCH", user.absolute(response.headers["Location"]), data=chunks[1])
    assert response.status_code == requests.codes.accepted, response.text
    blob = b"".join(chunks)
    response = user.request("PUT", user.absolute(response.headers["Location"]), params={"digest": digest_of(blob)})
    assert response.status_code == requests.codes.created, response.text
    assert user.fetch(f"/v2/chunked/blobs/{digest_of(blob)}") == blob


def test_images_move_into_another_bucket_by_a_copy_and_a_word_in_the_state(stack: RegistryStack) -> None:
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

    stack.settled_pods()  # those of before may use the former bucket no more
    assert stack.bucket == NEW_BUCKET
    assert "replace" not in stack.operations.changes().values()
    assert stack.outputs["passwords"] == passwords
    assert client(stack).pull("steady", "1") == digest
    assert stack.guards() == json.loads(json.dumps(guards).replace(former, NEW_BUCKET))
    assert stack.preview(**BASE, bucket={"name": NEW_BUCKET}) == {}
    assert s3.get_bucket_policy(Bucket=former)["Policy"]
    assert s3.list_objects_v2(Bucket=former)["KeyCount"] > 0
