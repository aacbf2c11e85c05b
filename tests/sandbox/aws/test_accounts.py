"""A second account of the emulated AWS: who may assume its roles, and what such a session may do there."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.sts.models import sts_backends

from sandbox.aws.role_sessions import find_role
from sandbox.layout import REGION
from tests.end_to_end.zone_account import ROLE, ZoneAccount, administrator_session, make_zone_account
from tests.sandbox.aws.emulated_aws import EmulatedAws, Key
from tests.sandbox.aws.test_access_control import allow, error
from tests.sandbox.aws.test_signatures import error_code, send

ACCOUNT = "123456789012"
"""The sandbox's own."""


@pytest.fixture(scope="module")
def other(aws: EmulatedAws) -> ZoneAccount:
    return make_other(aws)


def make_other(aws: EmulatedAws) -> ZoneAccount:
    administrator = administrator_session(aws.administrator.id, aws.administrator.secret)
    domain = f"n{uuid.uuid4().hex[:8]}.test"
    return make_zone_account(administrator, aws.tls_url, domain, aws.authority_certificate)


def assume(aws: EmulatedAws, key: Key, role_arn: str, **arguments: Any) -> dict[str, str]:
    """The credentials of a new session."""
    sts = aws.client("sts", key)
    return sts.assume_role(RoleArn=role_arn, **{"RoleSessionName": "test", **arguments})["Credentials"]


def client(aws: EmulatedAws, service: str, credentials: dict[str, str], **changes: str) -> Any:
    given = {**credentials, **changes}
    return boto3.client(
        service, endpoint_url=aws.url, region_name=REGION, aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"], aws_session_token=given["SessionToken"],
        config=Config(proxies={}, signature_version="s3v4" if service == "s3" else None),
    )  # fmt: skip


def change(route53: Any, zone_id: str, name: str, action: str = "UPSERT") -> str:
    """The error code of a change of a record, or ""."""
    record = {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    changes = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    return error(route53.change_resource_record_sets, HostedZoneId=zone_id, ChangeBatch=changes)


def test_a_session_of_the_role_writes_to_the_zone_and_does_nothing_else(aws: EmulatedAws, other: ZoneAccount) -> None:
    key = aws.new_user(allow("sts:AssumeRole", other.role_arn))
    session = assume(aws, key, other.role_arn)
    route53 = client(aws, "route53", session)
    name = f"a.{other.domain}"
    assert change(route53, other.zone_id, name) == ""
    assert list(other.records()) == [(name, "A")]
    assert [zone["Name"] for zone in route53.list_hosted_zones()["HostedZones"]] == [f"{other.domain}."]
    identity = client(aws, "sts", session).get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (
        other.id, f"arn:aws:sts::{other.id}:assumed-role/{ROLE}/test",
    )  # fmt: skip
    assert change(route53, other.zone_id, name, "DELETE") == ""
    assert error(route53.create_hosted_zone, Name="x.test", CallerReference="x") == "AccessDenied"
    assert error(route53.delete_hosted_zone, Id=other.zone_id) == "AccessDenied"
    assert error(client(aws, "s3", session).list_buckets) == "AccessDenied"
    assert error(client(aws, "iam", session).list_users) == "AccessDenied"


def test_the_zone_is_out_of_reach_without_the_role_and_the_own_zones_with_it(
    aws: EmulatedAws, other: ZoneAccount
) -> None:
    own = aws.client("route53").create_hosted_zone(Name="own.test", CallerReference=uuid.uuid4().hex)
    own_id = own["HostedZone"]["Id"].rpartition("/")[2]
    route53 = aws.client("route53")
    assert change(route53, other.zone_id, f"a.{other.domain}") == "AccessDenied"
    assert error(route53.get_hosted_zone, Id=other.zone_id) == "AccessDenied"
    assert error(route53.list_tags_for_resource, ResourceType="hostedzone", ResourceId=other.zone_id) == "AccessDenied"
    assert other.domain not in [zone["Name"].rstrip(".") for zone in route53.list_hosted_zones()["HostedZones"]]
    assert error(route53.get_hosted_zone, Id="Z0NOSUCHZONE") == "NoSuchHostedZone"
    assert change(other.route53, own_id, "a.own.test") == "AccessDenied"


def test_another_accounts_role_needs_the_callers_policy_and_the_roles_trust(aws: EmulatedAws) -> None:
    other = make_other(aws)
    without, with_right = aws.new_user(), aws.new_user(allow("sts:AssumeRole", other.role_arn))
    denied = aws.new_user(allow("*", "*"), {"Effect": "Deny", "Action": "sts:*", "Resource": other.role_arn})

    def outcomes() -> list[str]:
        return [error(assume, aws=aws, key=key, role_arn=other.role_arn) for key in (without, with_right, denied)]

    assert outcomes() == ["AccessDenied", "", "AccessDenied"]
    arns = [f"arn:aws:iam::{ACCOUNT}:user/{key.user}" for key in (without, with_right, denied)]
    other.trust(*arns)
    assert outcomes() == ["AccessDenied", "", "AccessDenied"]
    for trusted in (arns[0], f"arn:aws:iam::{other.id}:root", "arn:aws:iam::111111111111:root"):
        other.trust(trusted)
        assert outcomes() == ["AccessDenied"] * 3
    other.iam.delete_role_policy(RoleName=ROLE, PolicyName="zone")
    other.iam.delete_role(RoleName=ROLE)
    assert outcomes() == ["AccessDenied"] * 3
    with pytest.raises(ClientError, match=f"not authorized to perform: sts:AssumeRole on resource: {other.role_arn}"):
        assume(aws, with_right, other.role_arn)


def test_a_trust_may_ask_for_an_external_id_and_a_session_name(aws: EmulatedAws) -> None:
    other = make_other(aws)
    condition = {"StringEquals": {"sts:ExternalId": "ours"}, "StringLike": {"sts:RoleSessionName": "registry-*"}}
    other.trust(ACCOUNT, **condition)

    def outcome(**arguments: str) -> str:
        return error(assume, aws=aws, key=aws.administrator, role_arn=other.role_arn, **arguments)

    assert outcome(ExternalId="ours", RoleSessionName="registry-zone") == ""
    assert outcome(ExternalId="theirs", RoleSessionName="registry-zone") == "AccessDenied"
    assert outcome(RoleSessionName="registry-zone") == "AccessDenied"
    assert outcome(ExternalId="ours", RoleSessionName="other") == "AccessDenied"


def test_within_an_account_a_trust_that_names_the_caller_suffices(aws: EmulatedAws) -> None:
    iam, key = aws.client("iam"), aws.new_user()

    def outcome(principal: str) -> str:
        trust = allow("sts:AssumeRole", "") | {"Principal": {"AWS": principal}}
        del trust["Resource"]
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = iam.create_role(RoleName=f"role-{uuid.uuid4().hex[:8]}", AssumeRolePolicyDocument=document)["Role"]
        return error(assume, aws=aws, key=key, role_arn=role["Arn"])

    assert outcome(f"arn:aws:iam::{ACCOUNT}:user/{key.user}") == ""
    assert outcome(f"arn:aws:iam::{ACCOUNT}:root") == "AccessDenied"


def test_temporary_keys_go_with_their_token_and_end_with_their_session(aws: EmulatedAws, other: ZoneAccount) -> None:
    session, second = (assume(aws, aws.administrator, other.role_arn) for _ in range(2))
    assert error(client(aws, "route53", session).list_hosted_zones) == ""
    wrong = {"SessionToken": second["SessionToken"]}, {"SessionToken": ""}
    assert [error(client(aws, "route53", session, **each).list_hosted_zones) for each in wrong] == [
        "InvalidClientTokenId"
    ] * 2
    stolen = client(aws, "route53", session, SecretAccessKey=second["SecretAccessKey"])
    assert error(stolen.list_hosted_zones) == "SignatureDoesNotMatch"

    def presigned() -> str:
        s3 = client(aws, "s3", session)
        return s3.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})

    assert error_code(send("GET", presigned())) == "AccessDenied"
    token = quote(session["SessionToken"], safe="")
    assert error_code(send("GET", presigned().replace(token, "other"))) == "InvalidToken"

    made = sts_backends[other.id]["aws"].get_assumed_role_from_access_key(session["AccessKeyId"])
    assert made
    made.expiration -= datetime.timedelta(hours=1)
    assert error(client(aws, "route53", session).list_hosted_zones) == "ExpiredToken"
    assert error(client(aws, "s3", session).list_buckets) == "ExpiredToken"
    assert error(client(aws, "acm", session).list_certificates) == "ExpiredTokenException"
    assert error_code(send("GET", presigned())) == "ExpiredToken"


def test_the_sessions_of_a_role_end_with_it(aws: EmulatedAws) -> None:
    other = make_other(aws)
    route53 = client(aws, "route53", assume(aws, aws.administrator, other.role_arn))
    other.iam.delete_role_policy(RoleName=ROLE, PolicyName="zone")
    assert error(route53.list_hosted_zones) == "AccessDenied"
    other.iam.delete_role(RoleName=ROLE)
    assert error(route53.list_hosted_zones) == "InvalidClientTokenId"


def test_a_session_has_no_rights_that_its_own_policy_leaves_out(aws: EmulatedAws, other: ZoneAccount) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow(["route53:GetHostedZone", "s3:*"], "*")]})
    session = assume(aws, aws.administrator, other.role_arn, Policy=policy)
    route53 = client(aws, "route53", session)
    assert error(route53.get_hosted_zone, Id=other.zone_id) == ""
    assert error(route53.list_hosted_zones) == "AccessDenied"
    assert error(client(aws, "s3", session).list_buckets) == "AccessDenied"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"RoleSessionName": "with space"}, "at 'roleSessionName' failed to satisfy constraint"),
        ({"DurationSeconds": 3601}, "exceeds the MaxSessionDuration set for this role"),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, "does not know AssumeRole's Tags"),
        ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]}, "does not know AssumeRole's PolicyArns"),
    ],
)
def test_a_session_that_sts_or_the_sandbox_would_not_make_is_refused(
    aws: EmulatedAws, other: ZoneAccount, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message) as refused:
        assume(aws, aws.administrator, other.role_arn, **arguments)
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_a_session_may_be_as_long_as_its_role_says_but_a_chained_one_an_hour(
    aws: EmulatedAws, other: ZoneAccount
) -> None:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}}
    role = aws.client("iam").create_role(
        RoleName=f"long-{uuid.uuid4().hex[:8]}", MaxSessionDuration=7200,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("sts:AssumeRole", "*")]})
    aws.client("iam").put_role_policy(RoleName=role["RoleName"], PolicyName="assume", PolicyDocument=document)
    session = assume(aws, aws.administrator, role["Arn"], DurationSeconds=7200)
    sts = client(aws, "sts", session)
    assert error(sts.assume_role, RoleArn=other.role_arn, RoleSessionName="chained") == ""
    with pytest.raises(ClientError, match="1 hour session limit for roles assumed by role chaining"):
        sts.assume_role(RoleArn=role["Arn"], RoleSessionName="chained", DurationSeconds=7200)


def test_a_certificate_is_issued_when_its_proof_is_in_another_accounts_zone(
    aws: EmulatedAws, other: ZoneAccount
) -> None:
    acm = aws.client("acm")
    arn = acm.request_certificate(DomainName=f"registry.{other.domain}", ValidationMethod="DNS")["CertificateArn"]

    def described() -> dict[str, Any]:
        return acm.describe_certificate(CertificateArn=arn)["Certificate"]

    assert described()["Status"] == "PENDING_VALIDATION"
    proof = described()["DomainValidationOptions"][0]["ResourceRecord"]
    record = {"Name": proof["Name"], "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": proof["Value"]}]}
    for action in ("CREATE", "DELETE"):
        changes = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        other.route53.change_resource_record_sets(HostedZoneId=other.zone_id, ChangeBatch=changes)
        assert described()["Status"] == "ISSUED"


def test_another_accounts_bucket_is_denied_and_its_name_is_taken(aws: EmulatedAws) -> None:
    other, bucket = make_other(aws), aws.new_bucket()
    aws.client("s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:*", "*")]})
    other.iam.put_role_policy(RoleName=ROLE, PolicyName="s3", PolicyDocument=document)
    s3 = client(aws, "s3", assume(aws, aws.administrator, other.role_arn))
    own = f"own-{uuid.uuid4().hex[:8]}"
    assert error(s3.create_bucket, Bucket=own) == ""
    assert error(s3.create_bucket, Bucket=bucket) == "BucketAlreadyExists"
    assert error(s3.head_bucket, Bucket=bucket) == "AccessDenied"
    assert error(s3.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    assert error(s3.put_object, Bucket=bucket, Key="k", Body=b"y") == "AccessDenied"
    assert error(s3.copy_object, Bucket=own, Key="k", CopySource=f"{bucket}/k") == "AccessDenied"
    assert error(aws.client("s3").head_bucket, Bucket=own) == "AccessDenied"
    assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == [own]


def test_there_is_no_role_of_a_malformed_arn() -> None:
    assert find_role("zone-writer") is None
    assert find_role("arn:aws:iam::1:role/x") is None
