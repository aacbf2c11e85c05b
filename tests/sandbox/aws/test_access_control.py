from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.sandbox.aws.emulated_aws import EmulatedAws, Key

BUCKET_ACTIONS = ("s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads")
OBJECT_ACTIONS = (
    "s3:PutObject",
    "s3:GetObject",
    "s3:DeleteObject",
    "s3:ListMultipartUploadParts",
    "s3:AbortMultipartUpload",
)
PART = b"p" * 5 * 2**20
"""S3's smallest part but for the last."""


def allow(action: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def registry_statements(bucket: str, without: str = "") -> list[dict[str, Any]]:
    """The permissions that the registry's own documentation asks for, but one."""
    return [
        allow([action for action in BUCKET_ACTIONS if action != without], f"arn:aws:s3:::{bucket}"),
        allow([action for action in OBJECT_ACTIONS if action != without], f"arn:aws:s3:::{bucket}/*"),
    ]


def error(call: Callable[..., Any], **arguments: Any) -> str:
    """The error code that `call` fails with, or "" if it does not."""
    try:
        call(**arguments)
    except ClientError as failure:
        status = failure.response["ResponseMetadata"]["HTTPStatusCode"]
        code = failure.response["Error"]["Code"]
        return "AccessDenied" if code == "403" else code if code != str(status) else str(status)
    return ""


def multipart(s3: Any, bucket: str, name: str, **arguments: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key=name, **arguments)["UploadId"]
    common = {"Bucket": bucket, "Key": name, "UploadId": upload}
    tags = [s3.upload_part(**common, PartNumber=number, Body=PART)["ETag"] for number in (1, 2)]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, start=1)]
    s3.complete_multipart_upload(**common, MultipartUpload={"Parts": parts})


REGISTRY_REQUESTS: dict[str, tuple[Callable[[Any, str, str], Any], set[str]]] = {
    "stat": (lambda s3, bucket, _: s3.head_object(Bucket=bucket, Key="there"), {"s3:GetObject"}),
    "get": (lambda s3, bucket, _: s3.get_object(Bucket=bucket, Key="there"), {"s3:GetObject"}),
    "list": (lambda s3, bucket, _: s3.list_objects_v2(Bucket=bucket, Prefix="th"), {"s3:ListBucket"}),
    "head bucket": (lambda s3, bucket, _: s3.head_bucket(Bucket=bucket), {"s3:ListBucket"}),
    "location": (lambda s3, bucket, _: s3.get_bucket_location(Bucket=bucket), {"s3:GetBucketLocation"}),
    "uploads": (lambda s3, bucket, _: s3.list_multipart_uploads(Bucket=bucket), {"s3:ListBucketMultipartUploads"}),
    "put": (lambda s3, bucket, _: s3.put_object(Bucket=bucket, Key="new", Body=b"x"), {"s3:PutObject"}),
    "begin upload": (lambda s3, bucket, _: s3.create_multipart_upload(Bucket=bucket, Key="new"), {"s3:PutObject"}),
    "upload part": (
        lambda s3, bucket, upload: s3.upload_part(
            Bucket=bucket, Key="parts", UploadId=upload, PartNumber=2, Body=b"last"
        ),
        {"s3:PutObject"},
    ),
    "list parts": (
        lambda s3, bucket, upload: s3.list_parts(Bucket=bucket, Key="parts", UploadId=upload),
        {"s3:ListMultipartUploadParts"},
    ),
    "complete": (
        lambda s3, bucket, upload: s3.complete_multipart_upload(
            Bucket=bucket,
            Key="parts",
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"9dd4e461268c8034f5c8564e155c67a6"'}]},
        ),
        {"s3:PutObject"},
    ),
    "abort": (
        lambda s3, bucket, upload: s3.abort_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload),
        {"s3:AbortMultipartUpload"},
    ),
    "copy": (
        lambda s3, bucket, _: s3.copy_object(Bucket=bucket, Key="new", CopySource=f"{bucket}/there"),
        {"s3:PutObject", "s3:GetObject"},
    ),
    "copy part": (
        lambda s3, bucket, upload: s3.upload_part_copy(
            Bucket=bucket, Key="parts", UploadId=upload, PartNumber=2, CopySource=f"{bucket}/there"
        ),
        {"s3:PutObject", "s3:GetObject"},
    ),
    "delete": (lambda s3, bucket, _: s3.delete_object(Bucket=bucket, Key="there"), {"s3:DeleteObject"}),
}
"""What the registry asks of S3, and the permissions that each needs."""


@pytest.fixture(scope="module")
def bucket(aws: EmulatedAws) -> str:
    return aws.new_bucket()


def prepare(aws: EmulatedAws, bucket: str) -> str:
    """Put an object `there`, and begin the upload of `parts`, whose id is returned."""
    s3 = aws.client("s3")
    s3.put_object(Bucket=bucket, Key="there", Body=b"x")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    return upload


@pytest.mark.parametrize("name", REGISTRY_REQUESTS)
def test_each_request_of_the_registry_needs_no_more_than_its_permissions(
    aws: EmulatedAws, bucket: str, name: str
) -> None:
    request, needed = REGISTRY_REQUESTS[name]
    in_bucket, in_objects = needed & set(BUCKET_ACTIONS), needed & set(OBJECT_ACTIONS)
    statements = [
        allow(sorted(actions), f"arn:aws:s3:::{bucket}{below}")
        for actions, below in ((in_bucket, ""), (in_objects, "/*"))
        if actions
    ]
    upload, s3 = prepare(aws, bucket), aws.client("s3", aws.new_user(*statements))
    assert error(lambda: request(s3, bucket, upload)) == ""


@pytest.fixture(scope="module")
def users(aws: EmulatedAws, bucket: str) -> dict[str, Key]:
    """Users with all of the registry's permissions but the one that they are named after; "" has them all."""
    return {
        without: aws.new_user(*registry_statements(bucket, without))
        for without in ("", *BUCKET_ACTIONS, *OBJECT_ACTIONS)
    }


@pytest.mark.parametrize(
    ("name", "without"),
    [(name, action) for name, (_, needed) in REGISTRY_REQUESTS.items() for action in sorted(needed)],
)
def test_each_request_of_the_registry_is_denied_without_a_permission_that_it_needs(
    aws: EmulatedAws, bucket: str, users: dict[str, Key], name: str, without: str
) -> None:
    request, _ = REGISTRY_REQUESTS[name]
    upload, s3 = prepare(aws, bucket), aws.client("s3", users[without])
    assert error(lambda: request(s3, bucket, upload)) == "AccessDenied"


def test_a_batch_delete_needs_the_permission_on_each_object(aws: EmulatedAws) -> None:
    bucket = aws.new_bucket()
    administrator = aws.client("s3")
    user = aws.client("s3", aws.new_user(allow("s3:DeleteObject", f"arn:aws:s3:::{bucket}/mine/*")))
    for name in ("mine/1", "mine/2", "theirs/1"):
        administrator.put_object(Bucket=bucket, Key=name, Body=b"x")

    def delete(*names: str) -> tuple[set[str], set[tuple[str, str]]]:
        answer = user.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in names]})
        denied = {(each["Key"], each["Code"]) for each in answer.get("Errors", [])}
        return {each["Key"] for each in answer.get("Deleted", [])}, denied

    assert delete("theirs/1") == (set(), {("theirs/1", "AccessDenied")})
    assert delete("mine/1", "mine/2") == ({"mine/1", "mine/2"}, set())
    left = administrator.list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in left] == ["theirs/1"]


def test_the_registrys_user_can_do_nothing_else(aws: EmulatedAws, bucket: str, users: dict[str, Key]) -> None:
    key = users[""]
    s3, other = aws.client("s3", key), aws.new_bucket()
    aws.client("s3").put_object(Bucket=other, Key="there", Body=b"x")
    for denied in (
        s3.list_buckets,
        lambda: s3.list_objects_v2(Bucket=other),
        lambda: s3.get_object(Bucket=other, Key="there"),
        lambda: s3.put_object(Bucket=other, Key="new", Body=b"x"),
        lambda: s3.copy_object(Bucket=bucket, Key="new", CopySource=f"{other}/there"),
        lambda: s3.delete_bucket(Bucket=bucket),
        lambda: s3.create_bucket(Bucket="of-its-own"),
        lambda: s3.get_bucket_policy(Bucket=bucket),
        lambda: s3.delete_bucket_policy(Bucket=bucket),
        lambda: s3.get_bucket_encryption(Bucket=bucket),
        lambda: s3.get_public_access_block(Bucket=bucket),
        lambda: s3.delete_public_access_block(Bucket=bucket),
        lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}),
        lambda: aws.client("iam", key).list_users(),
        lambda: aws.client("iam", key).create_access_key(UserName=key.user),
        lambda: aws.client("ec2", key).describe_instances(),
    ):
        assert error(denied) == "AccessDenied"


def test_who_may_not_list_a_bucket_is_denied_what_is_not_there(aws: EmulatedAws) -> None:
    bucket = aws.new_bucket()
    lister = aws.new_user(*registry_statements(bucket))
    blind = aws.new_user(*registry_statements(bucket, without="s3:ListBucket"))
    assert error(aws.client("s3", lister).head_object, Bucket=bucket, Key="missing") == "404"
    assert error(aws.client("s3", lister).get_object, Bucket=bucket, Key="missing") == "NoSuchKey"
    assert error(aws.client("s3", blind).head_object, Bucket=bucket, Key="missing") == "AccessDenied"
    assert error(aws.client("s3", blind).get_object, Bucket=bucket, Key="missing") == "AccessDenied"


def put_bucket_policy(aws: EmulatedAws, bucket: str, *statements: dict[str, Any]) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    aws.client("s3", tls=True).put_bucket_policy(Bucket=bucket, Policy=policy)


def deny(bucket: str, action: str, **condition: dict[str, str]) -> dict[str, Any]:
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resources, "Condition": condition}


def test_a_bucket_that_denies_plain_http_answers_over_tls_only(aws: EmulatedAws) -> None:
    bucket = aws.new_bucket()
    key = aws.new_user(*registry_statements(bucket))
    put_bucket_policy(aws, bucket, deny(bucket, "s3:*", Bool={"aws:SecureTransport": "false"}))
    for who in (key, None):
        plain, tls = aws.client("s3", who), aws.client("s3", who, tls=True)
        assert error(tls.put_object, Bucket=bucket, Key="there", Body=b"x") == ""
        for operation, more in (
            ("put_object", {"Key": "there", "Body": b"x"}),
            ("get_object", {"Key": "there"}),
            ("head_object", {"Key": "there"}),
            ("list_objects_v2", {}),
            ("create_multipart_upload", {"Key": "there"}),
        ):
            assert error(getattr(plain, operation), Bucket=bucket, **more) == "AccessDenied"
            assert error(getattr(tls, operation), Bucket=bucket, **more) == ""


def test_a_bucket_policy_can_let_a_user_in(aws: EmulatedAws) -> None:
    bucket, key = aws.new_bucket(), aws.new_user()
    other = aws.new_user()
    assert error(aws.client("s3", key).list_objects_v2, Bucket=bucket) == "AccessDenied"
    arn = f"arn:aws:iam::123456789012:user/{key.user}"
    put_bucket_policy(aws, bucket, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Principal={"AWS": arn}))
    assert error(aws.client("s3", key).list_objects_v2, Bucket=bucket) == ""
    assert error(aws.client("s3", other).list_objects_v2, Bucket=bucket) == "AccessDenied"


def test_an_identitys_policy_may_have_conditions(aws: EmulatedAws, bucket: str) -> None:
    condition = {"Bool": {"aws:SecureTransport": "true"}}
    key = aws.new_user(allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Condition=condition))
    assert error(aws.client("s3", key).list_objects_v2, Bucket=bucket) == "AccessDenied"
    assert error(aws.client("s3", key, tls=True).list_objects_v2, Bucket=bucket) == ""


@pytest.fixture
def kms_key(aws: EmulatedAws) -> str:
    return aws.client("kms").create_key(Description="the bucket's")["KeyMetadata"]["Arn"]


def test_a_bucket_that_wants_its_kms_key_refuses_uploads_encrypted_otherwise(aws: EmulatedAws, kms_key: str) -> None:
    bucket, s3 = aws.new_bucket(), aws.client("s3")
    other_key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    sse, sse_key = "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id"
    put_bucket_policy(
        aws,
        bucket,
        deny(bucket, "s3:PutObject", StringNotEquals={sse: "aws:kms"}, Null={sse: "false"}),
        deny(bucket, "s3:PutObject", StringNotEquals={sse_key: kms_key}, Null={sse_key: "false"}),
    )
    put = {"Bucket": bucket, "Key": "there"}
    right = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}
    for upload in (s3.put_object, s3.create_multipart_upload):
        assert error(upload, **put, **right) == ""
        assert error(upload, **put, ServerSideEncryption="aws:kms", SSEKMSKeyId=kms_key.split("/")[1]) == ""
        assert error(upload, **put) == ""  # encrypted by the bucket's default
        assert error(upload, **put, ServerSideEncryption="AES256") == "AccessDenied"
        wrong = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": other_key}
        assert error(upload, **put, **wrong) == "AccessDenied"
    multipart(s3, bucket, "there", **right)
    assert s3.head_object(**put)["SSEKMSKeyId"] == kms_key


def test_a_bucket_that_wants_encryption_by_header_takes_multipart_uploads_that_began_with_it(
    aws: EmulatedAws, kms_key: str
) -> None:
    bucket, s3 = aws.new_bucket(), aws.client("s3")
    sse = "s3:x-amz-server-side-encryption"
    put_bucket_policy(aws, bucket, deny(bucket, "s3:PutObject", StringNotEqualsIfExists={sse: "aws:kms"}))
    assert error(s3.create_multipart_upload, Bucket=bucket, Key="there") == "AccessDenied"
    multipart(s3, bucket, "there", ServerSideEncryption="aws:kms", SSEKMSKeyId=kms_key)


@pytest.mark.parametrize("by", ["header", "default"])
@pytest.mark.parametrize(
    ("granted", "outcomes"),
    [
        (["kms:GenerateDataKey", "kms:Decrypt"], ("", "", "")),
        (["kms:GenerateDataKey"], ("", "AccessDenied", "AccessDenied")),
        (["kms:Decrypt"], ("AccessDenied", "AccessDenied", "")),
    ],
)
def test_objects_under_a_kms_key_need_permissions_on_the_key(
    aws: EmulatedAws, kms_key: str, by: str, granted: list[str], outcomes: tuple[str, str, str]
) -> None:
    put, upload, get = outcomes
    bucket, administrator = aws.new_bucket(), aws.client("s3")
    arguments = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if by == "header" else {}
    if by == "default":
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms_key}
        rules = [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
        administrator.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    administrator.put_object(Bucket=bucket, Key="there", Body=b"x", **arguments)
    via_s3 = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    user = aws.new_user(*registry_statements(bucket), allow(granted, kms_key, Condition=via_s3))
    s3 = aws.client("s3", user)
    assert error(s3.put_object, Bucket=bucket, Key="new", Body=b"x", **arguments) == put
    assert error(lambda: multipart(s3, bucket, "parts", **arguments)) == upload
    assert error(s3.get_object, Bucket=bucket, Key="there") == get
    assert error(s3.head_object, Bucket=bucket, Key="there") == ""
    copied = error(s3.copy_object, Bucket=bucket, Key="copy", CopySource=f"{bucket}/there", **arguments)
    assert copied == (put or get)


def test_a_kms_key_that_is_missing_or_disabled_encrypts_nothing(aws: EmulatedAws, kms_key: str) -> None:
    bucket, s3 = aws.new_bucket(), aws.client("s3")
    put = {"Bucket": bucket, "Key": "there", "Body": b"x", "ServerSideEncryption": "aws:kms"}
    assert error(s3.put_object, **put, SSEKMSKeyId=kms_key[:-4] + "dead") == "KMS.NotFoundException"
    aws.client("kms").disable_key(KeyId=kms_key.split("/")[1])
    assert error(s3.put_object, **put, SSEKMSKeyId=kms_key) == "KMS.DisabledException"


def test_a_policy_may_name_the_user_the_zone_the_certificate_and_the_key_that_it_is_about(
    aws: EmulatedAws, kms_key: str
) -> None:
    route53, acm, account = aws.client("route53"), aws.client("acm"), "123456789012"
    zones = [route53.create_hosted_zone(Name="a.test", CallerReference=one)["HostedZone"]["Id"] for one in "ab"]
    certificates = [acm.request_certificate(DomainName=f"{one}.test")["CertificateArn"] for one in "ab"]
    key = aws.new_user(
        allow(["iam:CreateUser", "iam:DeleteUser"], f"arn:aws:iam::{account}:user/registry-*"),
        allow("route53:ListHostedZones", "*"),
        allow("route53:GetHostedZone", f"arn:aws:route53:::{zones[0].strip('/')}"),
        allow("acm:DescribeCertificate", certificates[0]),
        allow("kms:DescribeKey", kms_key),
    )
    iam, acm = aws.client("iam", key), aws.client("acm", key)
    for call in (iam.create_user, iam.delete_user):
        assert error(call, UserName="registry-user") == ""
        assert error(call, UserName="other-user") == "AccessDenied"
    assert error(aws.client("route53", key).list_hosted_zones) == ""
    answers = [error(aws.client("route53", key).get_hosted_zone, Id=zone) for zone in zones]
    answers += [error(acm.describe_certificate, CertificateArn=one) for one in certificates]
    assert answers == ["", "AccessDenied", "", "AccessDeniedException"]
    assert error(aws.client("kms", key).describe_key, KeyId=kms_key) == ""
    assert error(aws.client("kms", key).describe_key, KeyId=f"{kms_key[:-4]}dead") == "AccessDeniedException"
    for zone in zones:
        route53.delete_hosted_zone(Id=zone)


def test_an_access_key_works_until_it_is_made_inactive_or_deleted(aws: EmulatedAws) -> None:
    iam, key = aws.client("iam"), aws.new_user(allow("*", "*"))
    s3, ec2 = aws.client("s3", key), aws.client("ec2", key)
    assert (error(s3.list_buckets), error(ec2.describe_vpcs)) == ("", "")
    iam.update_access_key(UserName=key.user, AccessKeyId=key.id, Status="Inactive")
    assert (error(s3.list_buckets), error(ec2.describe_vpcs)) == ("InvalidAccessKeyId", "AuthFailure")
    iam.update_access_key(UserName=key.user, AccessKeyId=key.id, Status="Active")
    assert error(s3.list_buckets) == ""
    iam.delete_access_key(UserName=key.user, AccessKeyId=key.id)
    assert (error(s3.list_buckets), error(ec2.describe_vpcs)) == ("InvalidAccessKeyId", "AuthFailure")


def test_a_wrong_secret_key_is_refused(aws: EmulatedAws) -> None:
    wrong = Key("administrator", aws.administrator.id, "wrong")
    assert error(aws.client("s3", wrong).list_buckets) == "SignatureDoesNotMatch"
    assert error(aws.client("iam", wrong).list_users) == "SignatureDoesNotMatch"


def test_a_role_has_its_own_permissions(aws: EmulatedAws) -> None:
    bucket, key = aws.new_bucket(), aws.new_user(allow("sts:AssumeRole", "*"))
    iam = aws.client("iam")
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:iam::123456789012:user/{key.user}"},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=f"role-of-{key.user}", AssumeRolePolicyDocument=document)["Role"]
    permission = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")]})
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="list", PolicyDocument=permission)
    session = aws.client("sts", key).assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
    s3 = boto3.client(
        "s3", endpoint_url=aws.url, region_name="us-east-1", aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"], aws_session_token=session["SessionToken"],
    )  # fmt: skip
    assert error(s3.list_objects_v2, Bucket=bucket) == ""
    assert error(s3.list_buckets) == "AccessDenied"
