from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.iam.access_control import IAMRequest
from moto.s3.models import FakeBucket

from sandbox.aws import moto_corrections
from sandbox.aws.moto_corrections.load_balancers import CLASSIC_HOSTED_ZONE_ID, NETWORK_HOSTED_ZONE_ID
from tests.sandbox.aws.emulated_aws import EmulatedAws, Key

ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@pytest.fixture(scope="module")
def subnet(aws: EmulatedAws) -> str:
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="172.21.0.0/16")["Vpc"]["VpcId"]
    return ec2.create_subnet(VpcId=vpc, CidrBlock="172.21.0.0/20", AvailabilityZone="us-east-1a")["Subnet"]["SubnetId"]


@pytest.fixture
def balancer(aws: EmulatedAws, subnet: str) -> Iterator[str]:
    """A classic load balancer with one listener, 80 to 30080."""
    elb, name = aws.client("elb"), f"lb-{uuid.uuid4().hex[:8]}"
    listener = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstanceProtocol": "TCP", "InstancePort": 30080}
    elb.create_load_balancer(LoadBalancerName=name, Listeners=[listener], Subnets=[subnet])
    yield name
    elb.delete_load_balancer(LoadBalancerName=name)


def described(aws: EmulatedAws, balancer: str) -> dict[str, Any]:
    return aws.client("elb").describe_load_balancers(LoadBalancerNames=[balancer])["LoadBalancerDescriptions"][0]


def listeners(aws: EmulatedAws, balancer: str) -> dict[int, tuple[str, str, int]]:
    """Protocol, instance protocol and instance port of each listener, by its port."""
    found = [each["Listener"] for each in described(aws, balancer)["ListenerDescriptions"]]
    return {
        each["LoadBalancerPort"]: (each["Protocol"], each["InstanceProtocol"], each["InstancePort"]) for each in found
    }


def request_certificate(aws: EmulatedAws, *names: str) -> str:
    acm = aws.client("acm")
    return acm.request_certificate(DomainName=names[0], SubjectAlternativeNames=list(names), ValidationMethod="DNS")[
        "CertificateArn"
    ]


def status(aws: EmulatedAws, certificate: str) -> str:
    return aws.client("acm").describe_certificate(CertificateArn=certificate)["Certificate"]["Status"]


def validation_records(aws: EmulatedAws, certificate: str) -> list[dict[str, str]]:
    certificate_ = aws.client("acm").describe_certificate(CertificateArn=certificate)["Certificate"]
    return [option["ResourceRecord"] for option in certificate_["DomainValidationOptions"]]


def new_zone(aws: EmulatedAws, domain: str, vpc: str | None = None) -> str:
    private = {}
    if vpc:
        private = {"VPC": {"VPCRegion": "us-east-1", "VPCId": vpc}, "HostedZoneConfig": {"PrivateZone": True}}
    route53 = aws.client("route53")
    return route53.create_hosted_zone(Name=domain, CallerReference=uuid.uuid4().hex, **private)["HostedZone"]["Id"]


def put_record(aws: EmulatedAws, zone: str, name: str, value: str, kind: str = "CNAME") -> None:
    record = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}
    changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    aws.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)


def issued_certificate(aws: EmulatedAws, domain: str) -> str:
    certificate, zone = request_certificate(aws, domain), new_zone(aws, domain)
    for record in validation_records(aws, certificate):
        put_record(aws, zone, record["Name"], record["Value"])
    assert status(aws, certificate) == "ISSUED"
    return certificate


@pytest.fixture
def domain() -> str:
    return f"{uuid.uuid4().hex[:8]}.test"


def refusal(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_correcting_again_changes_nothing(aws: EmulatedAws) -> None:
    before = [FakeBucket.__init__, IAMRequest._raise_access_denied]
    moto_corrections.correct()
    assert [FakeBucket.__init__, IAMRequest._raise_access_denied] == before


def test_requests_without_body_and_query_are_signed_right(aws: EmulatedAws) -> None:
    assert "HostedZones" in aws.client("route53").list_hosted_zones()


@pytest.mark.parametrize(
    ("service", "operation", "denied", "wrong", "unknown"),
    [
        ("iam", "list_users", "AccessDenied", "SignatureDoesNotMatch", "InvalidClientTokenId"),
        ("route53", "list_hosted_zones", "AccessDenied", "SignatureDoesNotMatch", "InvalidClientTokenId"),
        (
            "acm",
            "list_certificates",
            "AccessDeniedException",
            "InvalidSignatureException",
            "UnrecognizedClientException",
        ),
        ("ec2", "describe_vpcs", "AccessDenied", "AuthFailure", "AuthFailure"),
        ("s3", "list_buckets", "AccessDenied", "SignatureDoesNotMatch", "InvalidAccessKeyId"),
    ],
)
def test_each_service_refuses_in_its_own_words(  # noqa: PLR0917
    aws: EmulatedAws, service: str, operation: str, denied: str, wrong: str, unknown: str
) -> None:
    nobody = aws.new_user()
    keys = (nobody, Key(nobody.user, nobody.id, "wrong"), Key("unknown", "AKIAIOSFODNN7EXAMPLE", "any"))
    codes = [refusal(getattr(aws.client(service, key), operation))[0] for key in keys]
    assert codes == [denied, wrong, unknown]


def test_a_refusal_in_xml_is_where_every_sdk_reads_it(aws: EmulatedAws) -> None:
    """botocore also reads moto's <Errors>, other SDKs only what AWS sends."""
    answers: list[bytes] = []
    iam = aws.client("iam", aws.new_user())
    iam.meta.events.register(
        "before-parse.iam.ListUsers", lambda response_dict, **_: answers.append(response_dict["body"])
    )
    assert refusal(iam.list_users) == ("AccessDenied", 403)
    assert answers[0].startswith(b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>")


def upload_in_parts(s3: Any, bucket: str, name: str, **arguments: Any) -> str | None:
    """Upload an object in one part; return the encryption that the part was answered with."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=name, **arguments)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key=name, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key=name, UploadId=upload, MultipartUpload=parts)
    return part.get("ServerSideEncryption")


def encryption(s3: Any, bucket: str, name: str) -> tuple[str | None, str | None]:
    head = s3.head_object(Bucket=bucket, Key=name)
    return head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")


def configured_encryption(s3: Any, bucket: str) -> dict[str, Any]:
    rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    return rule["ApplyServerSideEncryptionByDefault"]


def test_every_object_is_encrypted_without_any_configuration(aws: EmulatedAws) -> None:
    bucket, s3 = aws.new_bucket(), aws.client("s3")
    s3.put_object(Bucket=bucket, Key="put", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="copied", CopySource=f"{bucket}/put")
    assert upload_in_parts(s3, bucket, "in parts") == "AES256"
    for name in ("put", "copied", "in parts"):
        assert encryption(s3, bucket, name) == ("AES256", None)
    assert s3.get_object(Bucket=bucket, Key="put")["ServerSideEncryption"] == "AES256"
    assert configured_encryption(s3, bucket) == {"SSEAlgorithm": "AES256"}


def test_a_buckets_kms_key_encrypts_all_its_objects_until_the_configuration_is_deleted(aws: EmulatedAws) -> None:
    bucket, s3 = aws.new_bucket(), aws.client("s3")
    arn = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn.split("/")[1]}
    rules = [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    s3.put_object(Bucket=bucket, Key="put", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="copied", CopySource=f"{bucket}/put")
    assert upload_in_parts(s3, bucket, "in parts") == "aws:kms"
    for name in ("put", "copied", "in parts"):
        assert encryption(s3, bucket, name) == ("aws:kms", arn)
    s3.delete_bucket_encryption(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="put", Body=b"x")
    assert encryption(s3, bucket, "put") == ("AES256", None)
    assert configured_encryption(s3, bucket) == {"SSEAlgorithm": "AES256"}


def test_an_objects_own_encryption_wins_over_the_buckets(aws: EmulatedAws) -> None:
    bucket, s3, kms = aws.new_bucket(), aws.client("s3"), aws.client("kms")
    default, own = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    kms.create_alias(AliasName=f"alias/{bucket}", TargetKeyId=own.split("/")[1])
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": default}}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    for key_id in (own, own.split("/")[1], f"alias/{bucket}"):
        with_key = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id}
        s3.put_object(Bucket=bucket, Key="put", Body=b"x", **with_key)
        upload_in_parts(s3, bucket, "in parts", **with_key)
        assert encryption(s3, bucket, "put") == encryption(s3, bucket, "in parts") == ("aws:kms", own)
    s3.put_object(Bucket=bucket, Key="put", Body=b"x", ServerSideEncryption="AES256")
    upload_in_parts(s3, bucket, "in parts", ServerSideEncryption="AES256")
    assert encryption(s3, bucket, "put") == encryption(s3, bucket, "in parts") == ("AES256", None)


def test_a_bucket_that_is_not_empty_is_not_deleted(aws: EmulatedAws) -> None:
    bucket, s3 = aws.new_bucket(), aws.client("s3")
    s3.put_object(Bucket=bucket, Key="there", Body=b"x")
    assert refusal(s3.delete_bucket, Bucket=bucket) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket=bucket, Key="there")
    s3.delete_bucket(Bucket=bucket)


def test_a_bucket_with_old_versions_is_not_empty(aws: EmulatedAws) -> None:
    bucket, s3 = aws.new_bucket(), aws.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="there", Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="there")["VersionId"]
    assert refusal(s3.delete_bucket, Bucket=bucket) == ("BucketNotEmpty", 409)
    for each in (version, marker):
        s3.delete_object(Bucket=bucket, Key="there", VersionId=each)
    s3.delete_bucket(Bucket=bucket)


def test_policies_that_would_be_ignored_are_refused_when_they_are_written(aws: EmulatedAws) -> None:
    bucket, key, iam = aws.new_bucket(), aws.new_user(), aws.client("iam")
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [ALLOW_ALL | {"Condition": condition}]})
    assert refusal(aws.client("s3").put_bucket_policy, Bucket=bucket, Policy=policy)[0] == "MalformedPolicy"
    user_policy = {"UserName": key.user, "PolicyName": "ip", "PolicyDocument": policy}
    assert refusal(iam.put_user_policy, **user_policy)[0] == "MalformedPolicyDocument"
    assert refusal(iam.create_policy, PolicyName="ip", PolicyDocument=policy)[0] == "MalformedPolicyDocument"
    with pytest.raises(ClientError, match="aws:SourceIp"):
        iam.put_user_policy(**user_policy)


def test_a_certificate_has_its_validation_records_at_once(aws: EmulatedAws, domain: str) -> None:
    certificate = request_certificate(aws, f"registry.{domain}")
    (record,) = validation_records(aws, certificate)
    assert record["Type"] == "CNAME"
    assert record["Name"].endswith(f".registry.{domain}.")
    assert record["Value"].endswith(".acm-validations.aws.")


def test_a_certificate_is_issued_once_each_of_its_names_is_proven(aws: EmulatedAws, domain: str) -> None:
    zone = new_zone(aws, domain)
    certificate = request_certificate(aws, f"one.{domain}", f"two.{domain}")
    first, second = validation_records(aws, certificate)
    assert status(aws, certificate) == "PENDING_VALIDATION"
    put_record(aws, zone, first["Name"], first["Value"])
    assert status(aws, certificate) == "PENDING_VALIDATION"
    put_record(aws, zone, second["Name"], "wrong.acm-validations.aws.")
    assert status(aws, certificate) == "PENDING_VALIDATION"
    put_record(aws, zone, second["Name"].rstrip("."), second["Value"].rstrip("."))
    assert status(aws, certificate) == "ISSUED"


def test_a_private_zone_proves_no_domain(aws: EmulatedAws, domain: str) -> None:
    vpc = aws.client("ec2").create_vpc(CidrBlock="172.22.0.0/16")["Vpc"]["VpcId"]
    zone, certificate = new_zone(aws, domain, vpc), request_certificate(aws, domain)
    (record,) = validation_records(aws, certificate)
    put_record(aws, zone, record["Name"], record["Value"])
    assert status(aws, certificate) == "PENDING_VALIDATION"


def https(certificate: str, port: int = 443) -> dict[str, Any]:
    """A listener as the AWS cloud controller asks for it with `backend-protocol: http`."""
    return {
        "Protocol": "HTTPS",
        "LoadBalancerPort": port,
        "InstanceProtocol": "HTTP",
        "InstancePort": 30000 + port,
        "SSLCertificateId": certificate,
    }


def test_a_listener_needs_a_certificate_that_is_issued(
    aws: EmulatedAws, balancer: str, subnet: str, domain: str
) -> None:
    elb, pending = aws.client("elb"), request_certificate(aws, domain)
    arguments = {"LoadBalancerName": balancer, "Listeners": [https(pending)]}
    assert refusal(elb.create_load_balancer_listeners, **arguments)[0] == "CertificateNotFound"
    assert refusal(elb.create_load_balancer, **arguments | {"LoadBalancerName": "other"}, Subnets=[subnet])[0] == (
        "CertificateNotFound"
    )
    elb.create_load_balancer_listeners(
        LoadBalancerName=balancer, Listeners=[https(issued_certificate(aws, f"registry.{domain}"))]
    )
    assert listeners(aws, balancer)[443] == ("HTTPS", "HTTP", 30443)


def test_a_certificate_in_use_is_not_deleted(aws: EmulatedAws, balancer: str, domain: str) -> None:
    elb, acm, certificate = aws.client("elb"), aws.client("acm"), issued_certificate(aws, domain)
    elb.create_load_balancer_listeners(LoadBalancerName=balancer, Listeners=[https(certificate)])
    assert refusal(acm.delete_certificate, CertificateArn=certificate)[0] == "ResourceInUseException"
    elb.delete_load_balancer(LoadBalancerName=balancer)
    acm.delete_certificate(CertificateArn=certificate)
    assert refusal(acm.describe_certificate, CertificateArn=certificate)[0] == "ResourceNotFoundException"


def test_a_classic_balancer_begins_with_a_health_check_and_its_regions_zone(aws: EmulatedAws, balancer: str) -> None:
    found = described(aws, balancer)
    assert found["HealthCheck"] == {
        "Target": "TCP:30080",
        "Interval": 30,
        "Timeout": 5,
        "UnhealthyThreshold": 2,
        "HealthyThreshold": 10,
    }
    assert found["CanonicalHostedZoneNameID"] == CLASSIC_HOSTED_ZONE_ID


def test_a_network_balancer_has_its_own_zone(aws: EmulatedAws, subnet: str) -> None:
    elbv2 = aws.client("elbv2")
    for kind, zone in (("network", NETWORK_HOSTED_ZONE_ID), ("application", CLASSIC_HOSTED_ZONE_ID)):
        made = elbv2.create_load_balancer(Name=f"of-type-{kind}", Type=kind, Subnets=[subnet])["LoadBalancers"][0]
        assert made["CanonicalHostedZoneId"] == zone


def test_a_listener_keeps_its_instances_protocol(aws: EmulatedAws, subnet: str, domain: str) -> None:
    elb, certificate = aws.client("elb"), issued_certificate(aws, domain)
    name = f"lb-{uuid.uuid4().hex[:8]}"
    elb.create_load_balancer(LoadBalancerName=name, Listeners=[https(certificate)], Subnets=[subnet])
    elb.create_load_balancer_listeners(LoadBalancerName=name, Listeners=[https(certificate, 8443)])
    assert listeners(aws, name) == {443: ("HTTPS", "HTTP", 30443), 8443: ("HTTPS", "HTTP", 38443)}
    elb.delete_load_balancer(LoadBalancerName=name)


def test_all_listeners_that_are_named_are_deleted(aws: EmulatedAws, balancer: str) -> None:
    elb = aws.client("elb")
    more = [
        {"Protocol": "TCP", "LoadBalancerPort": port, "InstanceProtocol": "TCP", "InstancePort": 30000 + port}
        for port in (81, 82)
    ]
    elb.create_load_balancer_listeners(LoadBalancerName=balancer, Listeners=more)
    elb.delete_load_balancer_listeners(LoadBalancerName=balancer, LoadBalancerPorts=[80, 82])
    assert listeners(aws, balancer) == {81: ("TCP", "TCP", 30081)}


def test_what_the_cloud_controller_sets_on_a_balancer_is_kept(aws: EmulatedAws, balancer: str, domain: str) -> None:
    elb, first, second = (
        aws.client("elb"),
        issued_certificate(aws, f"a.{domain}"),
        issued_certificate(aws, f"b.{domain}"),
    )
    by_name = {"LoadBalancerName": balancer}
    elb.create_load_balancer_listeners(**by_name, Listeners=[https(first)])
    elb.set_load_balancer_listener_ssl_certificate(**by_name, LoadBalancerPort=443, SSLCertificateId=second)
    attribute = {"AttributeName": "Reference-Security-Policy", "AttributeValue": "ELBSecurityPolicy-TLS-1-2-2017-01"}
    elb.create_load_balancer_policy(
        **by_name, PolicyName="tls", PolicyTypeName="SSLNegotiationPolicyType", PolicyAttributes=[attribute]
    )
    elb.set_load_balancer_policies_of_listener(**by_name, LoadBalancerPort=443, PolicyNames=["tls"])
    elb.modify_load_balancer_attributes(**by_name, LoadBalancerAttributes={"ConnectionSettings": {"IdleTimeout": 1200}})
    group = described(aws, balancer)["VPCId"]
    group = aws.client("ec2").create_security_group(GroupName=balancer, Description="-", VpcId=group)["GroupId"]
    elb.apply_security_groups_to_load_balancer(**by_name, SecurityGroups=[group])

    found = described(aws, balancer)
    listener = next(each for each in found["ListenerDescriptions"] if each["Listener"]["LoadBalancerPort"] == 443)
    assert listener["Listener"]["SSLCertificateId"] == second
    assert listener["PolicyNames"] == ["tls"]
    assert found["SecurityGroups"] == [group]
    policy = elb.describe_load_balancer_policies(**by_name, PolicyNames=["tls"])["PolicyDescriptions"][0]
    assert policy["PolicyAttributeDescriptions"] == [attribute]
    attributes = elb.describe_load_balancer_attributes(**by_name)["LoadBalancerAttributes"]
    assert attributes["ConnectionSettings"] == {"IdleTimeout": 1200}


def test_an_internal_balancer_says_so(aws: EmulatedAws, subnet: str) -> None:
    elb, name = aws.client("elb"), f"lb-{uuid.uuid4().hex[:8]}"
    listener = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 30080}
    elb.create_load_balancer(LoadBalancerName=name, Listeners=[listener], Subnets=[subnet], Scheme="internal")
    assert described(aws, name)["Scheme"] == "internal"


def test_a_user_with_access_keys_is_not_deleted(aws: EmulatedAws) -> None:
    iam, key = aws.client("iam"), aws.new_user()
    assert refusal(iam.delete_user, UserName=key.user)[0] == "DeleteConflict"
    iam.delete_access_key(UserName=key.user, AccessKeyId=key.id)
    iam.delete_user(UserName=key.user)
    assert refusal(iam.get_user, UserName=key.user)[0] == "NoSuchEntity"


def test_a_bucket_whose_versioning_is_suspended_keeps_its_versions_until_they_are_deleted_by_name(
    aws: EmulatedAws,
) -> None:
    s3, bucket = aws.client("s3"), aws.new_bucket()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="layer", Body=b"first")
    s3.put_object(Bucket=bucket, Key="layer", Body=b"second")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_object(Bucket=bucket, Key="layer")
    assert refusal(s3.get_object, Bucket=bucket, Key="layer")[0] == "NoSuchKey"

    found = s3.list_object_versions(Bucket=bucket)
    assert len(found["Versions"]) == 2
    named = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found["Versions"] + found["DeleteMarkers"]]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": named})
    assert "Versions" not in s3.list_object_versions(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)


@pytest.mark.parametrize("versioning", ["Enabled", None])
def test_a_bucket_is_emptied_page_by_page(aws: EmulatedAws, versioning: str | None) -> None:
    s3, bucket = aws.client("s3"), f"pages-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    if versioning:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": versioning})
    for number in range(3):
        for key in "abcde":
            s3.put_object(Bucket=bucket, Key=key, Body=str(number).encode())
    s3.delete_object(Bucket=bucket, Key="b")
    seen = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}):
        found = [(one["Key"], one["VersionId"]) for one in page.get("Versions", []) + page.get("DeleteMarkers", [])]
        seen += found
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k, "VersionId": v} for k, v in found]})
    assert len(seen) == len(set(seen)) == (16 if versioning else 4)
    s3.delete_bucket(Bucket=bucket)
