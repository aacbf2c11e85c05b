"""What the stack finds in AWS before it makes anything, and how it knows its own."""

from __future__ import annotations

from typing import Any

import pytest

from registry.live_objects import OWNER
from registry.settings import SettingsError
from tests.mock_engine import CLUSTER, PROVIDERS, Deploy

REGION, ELSEWHERE = "us-east-1", "eu-central-1"
KEY = "arn:aws:kms:{}:111122223333:key/12345678-1234-1234-1234-123456789012"
CERTIFICATE = "arn:aws:acm:{}:111122223333:certificate/12345678-1234-1234-1234-123456789012"
BALANCER = "a1b2.us-east-1.elb.amazonaws.com"
ALIAS = {"type": "A", "name": "registry.example.com.", "aliasTarget": {"dnsName": f"dualstack.{BALANCER}."}}
CNAME = {"type": "CNAME", "name": "registry.example.com.", "resourceRecords": [{"value": "www.example.net"}]}
MISSING_ZONE = "no matching Route 53 Hosted Zone found"


@pytest.fixture
def aws_answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What AWS answers, by the function's name; a text is an error."""
    answers: dict[str, Any] = {}
    monkeypatch.setattr("tests.mock_engine.AWS", answers)
    return answers


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The resources in the stack's state."""
    resources: list[dict[str, Any]] = []
    monkeypatch.setattr("tests.mock_engine.STATE", resources)
    return resources


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The stack's Service, with its load balancer."""
    metadata = {"annotations": {OWNER: "acme/registry/test id of registry-stack-id"}, "namespace": "kube-system"}
    status = {"loadBalancer": {"ingress": [{"hostname": BALANCER}]}}
    objects = {"service/kube-registry": {"metadata": metadata, "spec": {}, "status": status}}
    monkeypatch.setattr("tests.mock_engine.LIVE_OBJECTS", objects)
    return objects


def record(**outputs: Any) -> dict[str, Any]:
    made = {"zoneId": "zone of example.com", "name": "registry.example.com", "type": "A"}
    return {"type": "aws:route53/record:Record", "outputs": made | outputs}


def mistakes(deploy: Deploy, **settings: Any) -> list[str]:
    """The settings that the refusal tells."""
    with pytest.raises(SettingsError) as refusal:
        deploy(**settings)
    return [line.split()[0] for line in str(refusal.value).splitlines() if ", but must " in line]


def test_all_mistakes_are_told_at_once(
    deploy: Deploy, aws_answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLUSTER, "has_namespace", False)
    aws_answers |= {"getZone": MISSING_ZONE, "getBucket": {"bucketRegion": REGION}}
    bucket = {"name": "images", "kmsKeyArn": KEY.format(ELSEWHERE)}
    assert mistakes(deploy, tls=CERTIFICATE.format(ELSEWHERE), bucket=bucket) == [
        "namespace",
        "zone",
        "bucket.name",
        "bucket.kmsKeyArn",
        "tls",
    ]


def test_an_account_that_the_configuration_does_not_name_is_refused(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(PROVIDERS, "aws:allowedAccountIds")
    with pytest.raises(SettingsError) as refusal:
        deploy()
    assert "aws:allowedAccountIds is not set, but must name the stack's AWS account" in str(refusal.value)
    assert """pulumi config set aws:allowedAccountIds '["111122223333"]'""" in str(refusal.value)


def test_credentials_of_another_account_are_told_once(deploy: Deploy, aws_answers: dict[str, Any]) -> None:
    refused = "AWS account ID not allowed: 444455556666"
    aws_answers |= dict.fromkeys(("getCallerIdentity", "getZone", "getRecords", "getHostedZoneId"), refused)
    with pytest.raises(SettingsError) as refusal:
        deploy()
    header, mistake, _ = str(refusal.value).splitlines()
    assert header.startswith("the configuration has a mistake, ")
    assert mistake.strip() == (
        "aws:allowedAccountIds is ['111122223333'], but must hold the account of the AWS credentials, 444455556666."
    )


def test_a_region_that_does_not_exist_is_told(deploy: Deploy, aws_answers: dict[str, Any]) -> None:
    aws_answers["getHostedZoneId"] = f"unsupported ELB hosted zone Region: {REGION}"
    assert mistakes(deploy) == ["aws:region"]
    aws_answers["getHostedZoneId"] = "no valid credential sources found"
    with pytest.raises(SettingsError, match=r"AWS gave no answer about aws:region: .*no valid credential sources"):
        deploy()


def test_a_mistake_of_the_settings_themselves_is_told_before_anything_is_asked(
    deploy: Deploy, aws_answers: dict[str, Any]
) -> None:
    aws_answers["getZone"] = MISSING_ZONE
    assert mistakes(deploy, replicas=0) == ["replicas"]


def test_a_zone_that_is_given_by_its_id_must_exist(deploy: Deploy, aws_answers: dict[str, Any]) -> None:
    aws_answers["getRecords"] = "listing Route 53 Records (Z1): NoSuchHostedZone: No hosted zone found with ID: Z1"
    assert mistakes(deploy, zoneId="Z1") == ["zoneId"]


def test_a_record_in_the_state_is_the_stacks_own_wherever_it_leads(
    deploy: Deploy, aws_answers: dict[str, Any], state: list[dict[str, Any]]
) -> None:
    aws_answers["getRecords"] = {"resourceRecordSets": [ALIAS]}
    assert mistakes(deploy) == ["hostname"]
    state.append(record())
    assert "allowOverwrite" not in deploy().named("registry-record-registry.example.com")
    state[0] = record(zoneId="another")
    assert mistakes(deploy) == ["hostname"]


def test_a_record_that_leads_to_the_stacks_own_load_balancer_is_taken_over(
    deploy: Deploy, aws_answers: dict[str, Any], live: dict[str, Any]
) -> None:
    aws_answers["getRecords"] = {"resourceRecordSets": [ALIAS]}
    assert deploy().named("registry-record-registry.example.com")["allowOverwrite"] is True
    aws_answers["getRecords"] = {"resourceRecordSets": [ALIAS | {"aliasTarget": {"dnsName": "other.example.net."}}]}
    assert mistakes(deploy) == ["hostname"]
    aws_answers["getRecords"] = {"resourceRecordSets": [CNAME]}
    assert mistakes(deploy) == ["hostname"]
    aws_answers["getRecords"] = {"resourceRecordSets": [ALIAS]}
    mark = live["service/kube-registry"]["metadata"]["annotations"]
    mark[OWNER], own = "acme/registry/other 77aa", mark[OWNER]
    assert mistakes(deploy) == ["hostname"]  # its Service is somebody else's, which is told as well
    mark[OWNER] = own
    aws_answers["getRecords"] = {"resourceRecordSets": []}
    assert "allowOverwrite" not in deploy().named("registry-record-registry.example.com")


def test_a_bucket_in_the_state_is_the_stacks_own(
    deploy: Deploy, aws_answers: dict[str, Any], state: list[dict[str, Any]]
) -> None:
    aws_answers["getBucket"] = {"bucketRegion": REGION}
    assert mistakes(deploy, bucket={"name": "images"}) == ["bucket.name"]
    state.append({"type": "aws:s3/bucket:Bucket", "outputs": {"bucket": "images"}})
    assert deploy(bucket={"name": "images"}).one("Bucket")["bucket"] == "images"
    assert mistakes(deploy, bucket={"name": "others"}) == ["bucket.name"]


def test_a_bucket_that_pulumi_names_is_not_looked_up(deploy: Deploy) -> None:
    assert "aws:s3/getBucket:getBucket" not in [token for token, _ in deploy().engine.calls]


def test_a_key_and_a_certificate_of_the_region_are_looked_at(deploy: Deploy, aws_answers: dict[str, Any]) -> None:
    settings = {"tls": CERTIFICATE.format(REGION), "bucket": {"kmsKeyArn": KEY.format(REGION)}}
    assert deploy(**settings).one("Bucket")
    aws_answers["getKey"] = {"keyState": "Disabled", "keySpec": "SYMMETRIC_DEFAULT", "keyUsage": "ENCRYPT_DECRYPT"}
    aws_answers["getCertificate"] = {"status": "PENDING_VALIDATION"}
    # The other mistakes are told before the certificate is read, as the engine ends the program if there is none.
    assert mistakes(deploy, **settings) == ["tls"]
    del aws_answers["getKey"]
    assert mistakes(deploy, **settings) == ["tls"]


def test_what_is_wrong_beside_a_certificate_is_told_before_it_is_read(
    deploy: Deploy, aws_answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("pulumi.log.error", told.append)
    monkeypatch.setattr("registry.aws_reads.certificate_status", lambda arn, name: told.append(name) or "ISSUED")
    aws_answers["getZone"] = MISSING_ZONE
    with pytest.raises(SystemExit):
        deploy(tls=CERTIFICATE.format(REGION))
    assert "zone is 'example.com', but must be a public hosted zone" in told[0]
    assert told[1:] == ["tls"]


def test_what_one_may_not_look_up_is_a_warning_and_no_answer_is_a_mistake(
    deploy: Deploy, aws_answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    aws_answers["getRecords"] = "api error AccessDenied: not authorized to perform: route53:ListResourceRecordSets"
    aws_answers["getKey"] = "api error AccessDeniedException: not authorized to perform: kms:DescribeKey"
    assert deploy(bucket={"kmsKeyArn": KEY.format(REGION)}).named("registry-record-registry.example.com")
    assert [warning.split()[0] for warning in warnings] == ["hostname", "bucket.kmsKeyArn"]
    aws_answers["getZone"] = "operation error Route 53: ListHostedZones, api error ExpiredToken: expired"
    with pytest.raises(SettingsError, match=r"AWS gave no answer about zone: .* ExpiredToken: expired"):
        deploy()


def test_a_region_that_is_not_the_clusters(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLUSTER, "region", ELSEWHERE)
    with pytest.raises(SettingsError, match=f"aws:region is '{REGION}', but must be the cluster's region, {ELSEWHERE}"):
        deploy()
    monkeypatch.setitem(CLUSTER, "region", REGION)
    deploy()


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        ("reading S3 Bucket (logs): couldn't find resource", "be a bucket that exists"),
        ({"bucketRegion": ELSEWHERE}, f"be a bucket of the stack's region, and it is in {ELSEWHERE}"),
        ("StatusCode: 301, PermanentRedirect", "be a bucket of the stack's region, and it is in another one"),
    ],
)
def test_a_bucket_that_takes_no_access_logs_is_refused(
    deploy: Deploy, aws_answers: dict[str, Any], answer: Any, rule: str
) -> None:
    aws_answers["getBucket"] = answer
    with pytest.raises(SettingsError, match=f"accessLogs.bucket is 'logs', but must {rule}"):
        deploy(accessLogs={"bucket": "logs"})


def test_a_bucket_of_access_logs_that_may_not_be_looked_at_is_warned_of(
    deploy: Deploy, aws_answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    aws_answers["getBucket"] = "api error Forbidden: Forbidden"
    deploy(accessLogs={"bucket": "logs"})
    assert ["accessLogs.bucket was not looked up" in one for one in warnings] == [True]
