"""The bucket, and what guards it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry.settings import SettingsError
from tests.mock_engine import Deploy

NAME = "registry-bucket-1a2b3c4"
GUARDS = (
    "BucketServerSideEncryptionConfiguration",
    "BucketPublicAccessBlock",
    "BucketOwnershipControls",
    "BucketLifecycleConfiguration",
    "BucketVersioning",
    "BucketPolicy",
)
KEY = "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012"


def test_the_bucket_is_encrypted_by_default(deploy: Deploy) -> None:
    encryption = deploy().one("BucketServerSideEncryptionConfiguration")
    assert encryption == {
        "bucket": NAME,
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}],
    }


def test_under_a_kms_key_the_bucket_encrypts_with_it_and_asks_kms_seldom(deploy: Deploy) -> None:
    (rule,) = deploy(bucket={"kmsKeyArn": KEY}).one("BucketServerSideEncryptionConfiguration")["rules"]
    assert rule == {
        "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY},
        "bucketKeyEnabled": True,
    }


def test_the_bucket_refuses_plain_http_and_under_a_kms_key_other_encryption(deploy: Deploy) -> None:
    for settings, refused in {
        "": {"CustomerKey", "PlainHttp"},
        "kmsKeyArn": {"CustomerKey", "PlainHttp", "OtherEncryption", "OtherKey"},
    }.items():
        policy = deploy(bucket={settings: KEY} if settings else {}).one("BucketPolicy")
        statements = json.loads(policy["policy"])["Statement"]
        assert policy["bucket"] == NAME
        assert {statement["Sid"] for statement in statements} == refused
        assert {statement["Effect"] for statement in statements} == {"Deny"}


@pytest.mark.parametrize("bucket", [{}, {"tlsOnly": False, "protect": False}, {"versioning": True}], ids=str)
def test_what_guards_the_images_is_there_with_every_setting_and_goes_with_the_bucket_only(
    deploy: Deploy, bucket: dict[str, Any]
) -> None:
    deployed = deploy(bucket=bucket)
    for type_ in GUARDS:
        (guard,) = deployed.all(type_)
        options = deployed.options[guard.name]
        assert guard.inputs["bucket"] == NAME
        assert options.deleted_with == "registry-bucket"
        assert options.protect == deployed.options["registry-bucket"].protect == bucket.get("protect", True)


@pytest.mark.parametrize(
    ("former", "setting", "status"),
    [
        (None, False, "Disabled"),
        ("Disabled", False, "Disabled"),
        ("Disabled", True, "Enabled"),
        ("Enabled", False, "Suspended"),
        ("Suspended", False, "Suspended"),
        ("Suspended", True, "Enabled"),
    ],
)
def test_versioning_is_a_setting_and_never_goes_back_to_what_it_was_before_it_was_on(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, former: str | None, setting: bool, status: str
) -> None:
    configured = {"versioningConfiguration": {"status": former}}
    state = [{"type": "aws:s3/bucketVersioning:BucketVersioning", "outputs": configured}] if former else []
    monkeypatch.setattr("tests.mock_engine.STATE", state)
    versioning = deploy(bucket={"versioning": setting}).one("BucketVersioning")
    assert versioning == {"bucket": NAME, "versioningConfiguration": {"status": status}}


def test_noncurrent_versions_expire_also_those_of_a_bucket_that_was_versioned_once(deploy: Deploy) -> None:
    for versioning in (True, False):
        _, rule = deploy(bucket={"versioning": versioning, "noncurrentVersionDays": 7}).one(
            "BucketLifecycleConfiguration"
        )["rules"]
        assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 7}
        assert rule["expiration"] == {"expiredObjectDeleteMarker": True}
        assert rule["status"] == "Enabled"


def test_all_public_access_is_blocked(deploy: Deploy) -> None:
    assert deploy().one("BucketPublicAccessBlock") == {
        "bucket": NAME,
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }


def test_objects_belong_to_the_buckets_owner(deploy: Deploy) -> None:
    assert deploy().one("BucketOwnershipControls") == {
        "bucket": NAME,
        "rule": {"objectOwnership": "BucketOwnerEnforced"},
    }


def test_uploads_that_were_never_finished_are_aborted_after_some_days(deploy: Deploy) -> None:
    rule, _ = deploy().one("BucketLifecycleConfiguration")["rules"]
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    assert (rule["status"], rule["filter"]) == ("Enabled", {"prefix": ""})


def test_pulumi_names_the_bucket_unless_a_setting_does(deploy: Deploy) -> None:
    assert "bucket" not in deploy().one("Bucket")
    assert deploy(bucket={"name": "images"}).one("Bucket")["bucket"] == "images"


def test_images_are_deleted_with_the_bucket_only_on_request(deploy: Deploy) -> None:
    assert deploy().one("Bucket")["forceDestroy"] is False
    assert deploy(bucket={"forceDestroy": True}).one("Bucket")["forceDestroy"] is True


FORMER = {"type": "aws:s3/bucket:Bucket", "outputs": {"bucket": "images"}}


def test_a_bucket_of_another_name_is_refused_with_the_way_to_move_the_images(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.mock_engine.STATE", [FORMER])
    with pytest.raises(SettingsError) as error:
        deploy(bucket={"name": "other", "protect": False})
    assert "bucket.name is 'other', but must stay images, where the images are" in str(error.value)
    assert "pulumi config set --path bucket.name images; docs/operations.md, Move the images" in str(error.value)


@pytest.mark.parametrize(("former", "name"), [("images", "images"), (NAME, None)])
def test_a_name_that_is_not_set_any_more_stays(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, former: str, name: str | None
) -> None:
    monkeypatch.setattr("tests.mock_engine.STATE", [{**FORMER, "outputs": {"bucket": former}}])
    assert deploy().one("Bucket").get("bucket") == name


def test_access_logs_of_the_bucket_go_where_the_settings_say_until_the_bucket_goes(deploy: Deploy) -> None:
    assert deploy().all("BucketLogging") == []
    deployed = deploy(accessLogs={"bucket": "logs"})
    assert deployed.one("BucketLogging") == {"bucket": NAME, "targetBucket": "logs", "targetPrefix": f"{NAME}/"}
    assert deployed.options["registry-logging"].deleted_with == "registry-bucket"
