"""Mistakes that only AWS and the cluster know: told at preview, all at once, before anything is made."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pulumi import automation

from sandbox.layout import DOMAIN, REGION
from tests.end_to_end.registry_stack import RegistryStack

ELSEWHERE = "eu-central-1"
MISSING = "12345678-1234-1234-1234-123456789012"
TAKEN = "taken-already"


def refused(stack: RegistryStack, **settings: Any) -> str:
    """What `pulumi preview` prints of settings that it refuses, from its diagnostics on; nothing is made meanwhile."""
    before = inventory(stack)
    with pytest.raises(automation.CommandError) as error:
        stack.preview(**settings)
    assert inventory(stack) == before
    text = str(error.value)
    assert "Traceback" not in text
    assert "PULUMI_K8S" not in text
    return text[text.index("Diagnostics:") : text.index("Resources:")]


def mistakes(diagnostics: str) -> dict[str, list[str]]:
    """The lines of each mistake by its setting; each has a remedy, and four lines at most."""
    header, *lines = diagnostics[diagnostics.index("the configuration has ") :].splitlines()
    lines = list(itertools.takewhile(lambda line: line.startswith("      "), lines))
    found: dict[str, list[str]] = {}
    for line in lines:
        setting, is_, _ = line.strip().partition(" is ")
        if is_ and ", but must " in line:
            found[setting] = []
        found[[*found][-1]].append(line.strip())
    count = "a mistake" if len(found) == 1 else f"{len(found)} mistakes"
    assert header.startswith(f"the configuration has {count}")
    assert all(len(told) <= 4 and told[1].startswith("Remedy: ") for told in found.values())
    return found


def inventory(stack: RegistryStack) -> dict[str, Any]:
    """What there is in AWS and in the cluster."""
    aws = stack.sandbox.aws
    zones = [zone["Id"] for zone in aws("route53").list_hosted_zones()["HostedZones"]]
    records = [aws("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"] for zone in zones]
    return {
        "buckets": [bucket["Name"] for bucket in aws("s3").list_buckets()["Buckets"]],
        "users": [user["UserName"] for user in aws("iam").list_users()["Users"]],
        "certificates": [one["CertificateArn"] for one in aws("acm").list_certificates()["CertificateSummaryList"]],
        "records": [(record["Name"], record["Type"]) for zone in records for record in zone],
        "balancers": aws("elb").describe_load_balancers()["LoadBalancerDescriptions"],
        "objects": stack.sandbox.kubectl("get", "all,secrets", "--all-namespaces", "--output=name").splitlines(),
    }


@pytest.fixture(scope="module")
def account(stack: RegistryStack) -> str:
    return stack.sandbox.aws("sts").get_caller_identity()["Account"]


@contextlib.contextmanager
def taken_by_others(stack: RegistryStack) -> Iterator[None]:
    """A bucket, and a record of the stack's hostname, that somebody else has made."""
    s3, route53 = stack.sandbox.aws("s3"), stack.sandbox.aws("route53")
    zone = route53.list_hosted_zones_by_name(DNSName=DOMAIN)["HostedZones"][0]["Id"]
    made = {"Name": stack.hostname, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "www.example.com"}]}

    def change(action: str) -> None:
        changes = [{"Action": action, "ResourceRecordSet": made}]
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})

    s3.create_bucket(Bucket=TAKEN)
    change("CREATE")
    try:
        yield
    finally:
        change("DELETE")
        s3.delete_bucket(Bucket=TAKEN)


@pytest.fixture(scope="module")
def disabled_key(stack: RegistryStack) -> str:
    kms = stack.sandbox.aws("kms")
    key = kms.create_key()["KeyMetadata"]
    kms.disable_key(KeyId=key["KeyId"])
    return key["Arn"]


@pytest.fixture(scope="module")
def pending_certificate(stack: RegistryStack) -> Iterator[str]:
    acm = stack.sandbox.aws("acm")
    arn = acm.request_certificate(DomainName=stack.hostname, ValidationMethod="DNS")["CertificateArn"]
    yield arn
    acm.delete_certificate(CertificateArn=arn)


@pytest.fixture(scope="module")
def not_right(stack: RegistryStack, disabled_key: str, pending_certificate: str) -> str:
    """What is told of names that somebody else has, and of things that are there, but not in the right state."""
    bucket = {"name": TAKEN, "kmsKeyArn": disabled_key}
    with taken_by_others(stack):
        return refused(stack, namespace="nowhere", tls=pending_certificate, bucket=bucket)


@pytest.fixture(scope="module")
def not_here(stack: RegistryStack, account: str) -> dict[str, list[str]]:
    """What is told of a zone that is nowhere, and of things of another region."""
    certificate = f"arn:aws:acm:{ELSEWHERE}:{account}:certificate/{MISSING}"
    key = f"arn:aws:kms:{ELSEWHERE}:{account}:key/{MISSING}"
    return mistakes(refused(stack, hostname="registry.example.org", tls=certificate, bucket={"kmsKeyArn": key}))


@pytest.fixture(scope="module")
def not_there(stack: RegistryStack, account: str) -> str:
    """What is told of things that would be here, if they existed."""
    certificate = f"arn:aws:acm:{REGION}:{account}:certificate/{MISSING}"
    key = f"arn:aws:kms:{REGION}:{account}:key/{MISSING}"
    return refused(stack, zoneId="Z0123456789", tls=certificate, bucket={"kmsKeyArn": key})


def test_a_hosted_zone_that_does_not_exist(not_here: dict[str, list[str]]) -> None:
    rule, *remedy = not_here["zone"]
    assert rule == (
        "zone is 'example.org', but must be a public hosted zone of this AWS account, and there is none of that name."
    )
    assert remedy[-1].endswith("pulumi config set zone NAME")


def test_a_hosted_zone_whose_id_does_not_exist(not_there: str) -> None:
    assert mistakes(not_there)["zoneId"][0] == (
        "zoneId is 'Z0123456789', but must be the id of a hosted zone of this AWS account, and there is none with it."
    )


def test_several_hosted_zones_of_one_name(stack: RegistryStack) -> None:
    route53 = stack.sandbox.aws("route53")
    zones = [route53.create_hosted_zone(Name="twice.test", CallerReference=one)["HostedZone"] for one in "ab"]
    rule, remedy = mistakes(refused(stack, hostname="registry.twice.test"))["zone"]
    assert rule.startswith("zone is 'twice.test', but must be the name of one public hosted zone, and several")
    assert "pulumi config set zoneId ID" in remedy
    for zone in zones:
        route53.delete_hosted_zone(Id=zone["Id"])


def test_a_namespace_that_does_not_exist(not_right: str) -> None:
    rule, remedy = mistakes(not_right)["namespace"]
    assert rule == "namespace is 'nowhere', but must be a namespace that exists in the cluster."
    assert "kubectl create namespace nowhere" in remedy


def test_a_cluster_that_is_not_reached(stack: RegistryStack, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeconfig = yaml.safe_load(stack.sandbox.kubectl("config", "view", "--raw"))
    for cluster in kubeconfig["clusters"]:
        cluster["cluster"]["server"] = "https://127.0.0.1:1"
    monkeypatch.setitem(stack.settings, "kubernetes:kubeconfig", yaml.safe_dump(kubeconfig))
    rule, *remedy = mistakes(refused(stack))["kubernetes:context"]
    context = kubeconfig["current-context"]
    assert rule.startswith(
        f"kubernetes:context is '{context}', but must lead to a cluster that answers, and https://127.0.0.1:1 cannot be"
    )
    assert remedy[-1].endswith("pulumi config set kubernetes:context NAME")


def test_a_certificate_of_another_region(not_here: dict[str, list[str]]) -> None:
    assert not_here["tls"][0].endswith(f", but must be a certificate of the load balancer's region, {REGION}.")


def test_a_certificate_that_does_not_exist(not_there: str, account: str) -> None:
    """It is the engine that tells it, under the setting's name, and the other mistakes are not lost by it."""
    arn = f"arn:aws:acm:{REGION}:{account}:certificate/{MISSING}"
    assert f"(tls):\n    error: Preview failed: resource '{arn}' does not exist\n" in not_there
    assert mistakes(not_there).keys() == {"zoneId", "bucket.kmsKeyArn"}


def test_a_certificate_that_is_not_issued(not_right: str, pending_certificate: str) -> None:
    rule, remedy, *_ = mistakes(not_right[not_right.rindex("the configuration has ") :])["tls"]
    assert rule == (
        f"tls is '{pending_certificate}', but must be a certificate that is issued, "
        "and ACM calls it PENDING_VALIDATION."
    )
    assert f"aws acm describe-certificate --certificate-arn {pending_certificate}" in remedy


def test_a_key_of_another_region(not_here: dict[str, list[str]]) -> None:
    assert not_here["bucket.kmsKeyArn"][0].endswith(f", but must be a key of the bucket's region, {REGION}.")


def test_a_key_that_does_not_exist(not_there: str) -> None:
    assert mistakes(not_there)["bucket.kmsKeyArn"][0].endswith(", but must be a key that exists.")


def test_a_key_that_is_disabled(not_right: str, disabled_key: str) -> None:
    rule, remedy = mistakes(not_right)["bucket.kmsKeyArn"]
    assert rule.endswith(f"is '{disabled_key}', but must be a key that is enabled, and KMS calls it Disabled.")
    assert f"aws kms enable-key --key-id {disabled_key}" in remedy


def test_a_bucket_that_is_somebody_elses(not_right: str) -> None:
    rule, *remedy = mistakes(not_right)["bucket.name"]
    assert rule.startswith(f"bucket.name is '{TAKEN}', but must be a name that no bucket has, in any account")
    assert f"aws s3 rb s3://{TAKEN}" in remedy[-1]


def test_a_record_that_is_somebody_elses(not_right: str, stack: RegistryStack) -> None:
    assert mistakes(not_right)["hostname"][0] == (
        f"hostname is '{stack.hostname}', but must have no record of anybody else's in the zone, "
        "and has one of type CNAME: www.example.com."
    )


def test_what_an_update_that_was_broken_off_has_made_is_the_stacks_own(stack: RegistryStack) -> None:
    stack.sandbox.kubectl("create", "quota", "no-secrets", "--hard=secrets=0", "--namespace", stack.name)
    settings = {"bucket": {"name": "made-by-the-broken-update"}}
    with pytest.raises(automation.CommandError, match="exceeded quota: no-secrets"):
        stack.up(**settings)
    assert "made-by-the-broken-update" in inventory(stack)["buckets"]
    stack.sandbox.kubectl("delete", "quota", "no-secrets", "--namespace", stack.name)
    changes = stack.preview(**settings)
    assert changes[f"registry-record-{stack.hostname}"] == "create"
    assert "registry-bucket" not in changes
