"""The registry with every guard on: KMS, versioning, a narrow and internal way in, a restricted namespace."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from sandbox.lifecycle import CHECKOUT
from tests.end_to_end.images import pull, push
from tests.end_to_end.registry_client import RegistryClient, digest_of
from tests.end_to_end.registry_stack import RegistryStack
from tests.waiting import wait_for

MEBIBYTE = 2**20
HERE, ELSEWHERE = "127.0.0.0/8", "10.0.0.0/8"


@pytest.fixture(scope="module")
def kms_key(stack: RegistryStack) -> str:
    return stack.sandbox.aws("kms").create_key()["KeyMetadata"]["Arn"]


@pytest.fixture(scope="module")
def certificate(stack: RegistryStack) -> Iterator[str]:
    """The ARN of a certificate that somebody has requested, and proven by its record."""
    acm, route53 = stack.sandbox.aws("acm"), stack.sandbox.aws("route53")
    arn = acm.request_certificate(DomainName=stack.hostname, ValidationMethod="DNS")["CertificateArn"]
    (option,) = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
    proof = option["ResourceRecord"]
    record = {"Name": proof["Name"], "Type": proof["Type"], "TTL": 60, "ResourceRecords": [{"Value": proof["Value"]}]}
    zone = stack.sandbox.account.zone_id
    for action in ("CREATE", "DELETE"):
        changes = [{"Action": action, "ResourceRecordSet": record}]
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
        if action == "CREATE":
            wait_for(
                lambda: acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"] == "ISSUED",
                "a certificate that is issued",
            )
            yield arn


@pytest.fixture(scope="module")
def settings(kms_key: str, certificate: str) -> dict[str, Any]:
    return {
        "tls": certificate,
        "bucket": {"name": "guarded-images", "kmsKeyArn": kms_key, "versioning": True, "noncurrentVersionDays": 7},
        "chunkSize": 5 * MEBIBYTE,
        "loadBalancer": {"internal": True, "allowedCidrs": [HERE], "idleTimeoutSeconds": 1200},
    }


@pytest.fixture(autouse=True, scope="module")
def deployed(stack: RegistryStack, settings: dict[str, Any]) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    stack.sandbox.kubectl("label", "namespace", stack.name, label)
    stack.up(**settings)


def client(stack: RegistryStack) -> RegistryClient:
    return RegistryClient(stack, stack.outputs["username"], stack.outputs["password"])


def test_a_second_preview_has_nothing_to_say_of_what_the_settings_name(
    stack: RegistryStack, settings: dict[str, Any]
) -> None:
    """Bucket, record and Service are there by now, and are the stack's own; key and certificate are in order."""
    before = len(stack.output)
    assert stack.preview(**settings) == {}
    assert "warning" not in stack.output[before:]
    assert "Diagnostics" not in stack.output[before:]


def test_a_preview_needs_no_more_rights_in_aws_than_the_documents_list(stack: RegistryStack) -> None:
    policy = (CHECKOUT / "docs/rights/preview-policy.json").read_text()
    iam, user = stack.sandbox.aws("iam"), f"{stack.name}-previewer"
    iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName="preview", PolicyDocument=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    printed = stack.pulumi(
        "preview",
        "--non-interactive",
        "--expect-no-changes",
        AWS_ACCESS_KEY_ID=key["AccessKeyId"],
        AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"],
    )
    assert "warning" not in printed
    iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=user, PolicyName="preview")
    iam.delete_user(UserName=user)


def test_the_pods_run_where_only_restricted_ones_may(stack: RegistryStack) -> None:
    namespace = stack.sandbox.get("namespace", stack.name)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(stack.pods()) == 2
    privileged = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "privileged", "namespace": stack.name}}
    privileged["spec"] = {"containers": [{"name": "registry", "image": "registry:3.1.1"}]}
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted'):
        stack.sandbox.kubectl("apply", "--filename=-", stdin=json.dumps(privileged))


def test_every_object_is_encrypted_with_the_kms_key(stack: RegistryStack, kms_key: str, tmp_path: Path) -> None:
    crane, image = stack.crane(), f"{stack.hostname}/app:1"
    assert push(crane, image, tmp_path, count=2, size=12 * MEBIBYTE) == pull(crane, image, tmp_path)
    assert stack.encryptions() == {("aws:kms", kms_key)}


@pytest.mark.parametrize("sizes", [(6, 6, 1), (1, 1, 1), (6, 1, 6)], ids=str)
def test_an_upload_in_chunks_is_taken_and_encrypted_with_the_kms_key(
    stack: RegistryStack, kms_key: str, sizes: tuple[int, ...]
) -> None:
    content = os.urandom(sum(sizes) * MEBIBYTE)
    client(stack).upload("chunked", content, sizes=[size * MEBIBYTE for size in sizes])
    assert client(stack).fetch(f"/v2/chunked/blobs/{digest_of(content)}") == content
    assert stack.encryptions() == {("aws:kms", kms_key)}


def test_the_bucket_refuses_what_is_encrypted_otherwise_and_takes_what_names_nothing(
    stack: RegistryStack, kms_key: str
) -> None:
    s3 = stack.sandbox.aws("s3")
    other = stack.sandbox.aws("kms").create_key()["KeyMetadata"]["Arn"]
    for refused in (
        {"ServerSideEncryption": "AES256"},
        {"ServerSideEncryption": "aws:kms"},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": other},
        {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.put_object(Bucket=stack.bucket, Key="probe", Body=b"x", **refused)
    put = s3.put_object(Bucket=stack.bucket, Key="probe", Body=b"x")
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", kms_key)
    s3.delete_object(Bucket=stack.bucket, Key="probe")


def test_what_is_deleted_is_kept_for_some_days(stack: RegistryStack) -> None:
    s3 = stack.sandbox.aws("s3")
    s3.put_object(Bucket=stack.bucket, Key="deleted", Body=b"x")
    s3.delete_object(Bucket=stack.bucket, Key="deleted")
    versions = s3.list_object_versions(Bucket=stack.bucket, Prefix="deleted")["Versions"]
    assert [version["IsLatest"] for version in versions] == [False]
    rules = s3.get_bucket_lifecycle_configuration(Bucket=stack.bucket)["Rules"]
    (expiry,) = [rule for rule in rules if "NoncurrentVersionExpiration" in rule]
    assert (expiry["Status"], expiry["NoncurrentVersionExpiration"]["NoncurrentDays"]) == ("Enabled", 7)


def test_the_load_balancer_is_internal_and_admits_only_the_ranges_that_are_set(stack: RegistryStack) -> None:
    balancer = stack.balancer()
    assert balancer["Scheme"] == "internal"
    groups = stack.sandbox.aws("ec2").describe_security_groups(GroupIds=balancer["SecurityGroups"])["SecurityGroups"]
    ranges = {
        (rule["FromPort"], one["CidrIp"])
        for group in groups
        for rule in group["IpPermissions"]
        if rule["IpProtocol"] == "tcp"
        for one in rule["IpRanges"]
    }
    assert ranges == {(443, HERE)}
    attributes = stack.sandbox.aws("elb").describe_load_balancer_attributes(
        LoadBalancerName=balancer["LoadBalancerName"]
    )["LoadBalancerAttributes"]
    assert attributes["ConnectionSettings"]["IdleTimeout"] == 1200


@pytest.mark.changes
def test_another_scheme_makes_another_load_balancer_and_other_ranges_shut_clients_out(
    stack: RegistryStack, settings: dict[str, Any]
) -> None:
    digest, old = client(stack).push("kept", "1", b"a layer"), stack.outputs["loadBalancerHostname"]
    changed = settings | {"loadBalancer": {"internal": False, "allowedCidrs": [ELSEWHERE], "idleTimeoutSeconds": 1200}}
    stack.up(**changed)
    assert stack.operations.changes() == {
        f"registry-service-{stack.name}": "replace",
        f"registry-record-{stack.hostname}": "update",
    }
    assert stack.balancer()["Scheme"] == "internet-facing"
    assert stack.outputs["loadBalancerHostname"] != old
    wait_for(lambda: not is_admitted(stack), "refusal of clients from elsewhere")

    stack.up(**changed | {"loadBalancer": {"internal": False, "allowedCidrs": [HERE, ELSEWHERE]}})
    wait_for(lambda: is_admitted(stack), "admission of clients")
    assert client(stack).pull("kept", "1") == digest


def is_admitted(stack: RegistryStack) -> bool:
    """Whether the load balancer lets this machine in; the cloud controller follows a Service later."""
    try:
        return client(stack).request("GET", "/v2/").ok
    except requests.exceptions.RequestException:
        return False
