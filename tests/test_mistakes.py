"""What is wrong with the settings by what AWS answers, in the words of the settings' own errors."""

from __future__ import annotations

from typing import Any

import pytest

from registry.aws_answers import Failure, Key, Record
from registry.mistakes import Judge
from registry.settings import Settings

CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"
KEY = "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012"
MISSING, SEVERAL, DENIED = Failure("missing", "gone"), Failure("several", "many"), Failure("denied", "AccessDenied: no")
FAILED = Failure("failed", "connection refused")


def judge(**settings: Any) -> Judge:
    values = {"hostname": "registry.example.com", **settings}
    return Judge(Settings.model_validate(values, by_alias=True, by_name=False))


def parts(mistake: str | None) -> tuple[str, str]:
    """The sentence and the remedy; a mistake has four lines at most."""
    assert mistake is not None
    assert len(mistake.splitlines()) <= 4
    sentence, _, remedy = mistake.partition(".\n    Remedy: ")
    return sentence.strip(), remedy


def test_a_zone_is_told_with_its_kind_and_the_command_that_names_another() -> None:
    for private, kind in (False, "public"), (True, "private"):
        settings = {"privateZone": private, "tls": "none"}
        sentence, remedy = parts(judge(**settings).zone(MISSING))
        assert sentence == (
            f"zone is 'example.com', but must be a {kind} hosted zone of this AWS account, "
            "and there is none of that name"
        )
        assert remedy.endswith("pulumi config set zone NAME")


def test_several_zones_are_told_with_the_setting_that_chooses_one() -> None:
    sentence, remedy = parts(judge().zone(SEVERAL))
    assert sentence.endswith("must be the name of one public hosted zone, and several have it")
    assert "pulumi config set zoneId ID" in remedy
    assert "aws route53 list-hosted-zones-by-name --dns-name example.com" in remedy


def test_a_zone_that_one_may_not_look_up_is_told_with_the_documents_that_list_the_rights() -> None:
    sentence, remedy = parts(judge().zone(DENIED))
    assert sentence.endswith("must be looked up, which AWS denies: AccessDenied: no")
    assert "docs/rights.md" in remedy
    assert judge().zone("Z1") is judge().zone(FAILED) is None


def test_only_records_that_an_address_cannot_stand_beside_are_in_the_way() -> None:
    sentence, _ = parts(
        judge().record("registry.example.com", [Record("TXT", None, ["x"]), Record("A", "lb.example.net")])
    )
    assert sentence == (
        "hostname is 'registry.example.com', but must have no record of anybody else's in the zone, "
        "and has one of type A: alias of lb.example.net"
    )
    assert (
        "of type CNAME: www.example.net"
        in parts(judge().record("registry.example.com", [Record("CNAME", None, ["www.example.net"])]))[0]
    )
    assert judge().record("registry.example.com", [Record("TXT", None, ["x"]), Record("AAAA", None, ["::1"])]) is None


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("eu-west-1", "there is such a bucket, in eu-west-1, which this stack did not make"),
        (DENIED, "an account that does not show it to you has it"),
        (Failure("elsewhere", "MovedPermanently"), "there is such a bucket, in another region"),
    ],
)
def test_a_bucket_is_in_the_way_whoever_has_it(answer: Any, found: str) -> None:
    sentence, remedy = parts(judge(bucket={"name": "our-images"}).bucket(answer))
    assert sentence == (
        f"bucket.name is 'our-images', but must be a name that no bucket has, in any account, and {found}"
    )
    assert "aws s3 rb s3://our-images" in remedy


def test_a_name_that_no_bucket_has_is_no_mistake() -> None:
    assert judge(bucket={"name": "our-images"}).bucket(MISSING) is None


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (None, "be a key of the bucket's region, us-west-2"),
        (MISSING, "be a key that exists"),
        (
            Key("Disabled", "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
            "be a key that is enabled, and KMS calls it Disabled",
        ),
        (
            Key("Enabled", "RSA_2048", "SIGN_VERIFY"),
            "be a symmetric key for encryption, as S3 takes no other, and it is RSA_2048, SIGN_VERIFY",
        ),
    ],
)
def test_a_key_must_be_here_be_enabled_and_encrypt(answer: Any, rule: str) -> None:
    sentence, _ = parts(judge(bucket={"kmsKeyArn": KEY}).key("us-west-2", answer))
    assert sentence == f"bucket.kmsKeyArn is '{KEY}', but must {rule}"


def test_a_key_that_is_to_be_deleted_is_told_with_the_command_that_keeps_it() -> None:
    answer = Key("PendingDeletion", "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
    _, remedy = parts(judge(bucket={"kmsKeyArn": KEY}).key("us-east-1", answer))
    assert remedy.startswith(f"aws kms cancel-key-deletion --key-id {KEY}, then aws kms enable-key --key-id {KEY}")


def test_a_key_in_order_and_one_that_one_may_not_look_at_are_no_mistakes() -> None:
    for answer in (Key("Enabled", "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"), DENIED, FAILED):
        assert judge(bucket={"kmsKeyArn": KEY}).key("us-east-1", answer) is None


def test_a_certificate_must_be_here_and_issued() -> None:
    for status, rule in {
        None: "be a certificate of the load balancer's region, us-west-2",
        "EXPIRED": "be a certificate that is issued, and ACM calls it EXPIRED",
    }.items():
        sentence, _ = parts(judge(tls=CERTIFICATE).certificate("us-west-2", status))
        assert sentence == f"tls is '{CERTIFICATE}', but must {rule}"
    assert judge(tls=CERTIFICATE).certificate("us-east-1", "ISSUED") is None


def test_a_question_that_is_denied_is_a_warning_and_one_without_an_answer_a_mistake_once() -> None:
    asked = {"zone": FAILED, "bucket.name": FAILED, "bucket.kmsKeyArn": DENIED, "hostname": []}
    (mistake,), (warning,) = judge().unanswered(asked)
    assert mistake.count("connection refused") == 1
    assert "aws sts get-caller-identity" in mistake
    assert warning == (
        "bucket.kmsKeyArn was not looked up, as AWS denies it: AccessDenied: no. docs/rights.md lists the "
        "rights that a preview needs"
    )
