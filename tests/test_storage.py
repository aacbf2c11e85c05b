"""The bucket, and what guards it."""

from __future__ import annotations

from tests.mock_engine import Deploy

NAME = "registry-bucket-1a2b3c4"


def test_the_bucket_is_encrypted_by_default(deploy: Deploy) -> None:
    encryption = deploy().one("BucketServerSideEncryptionConfiguration")
    assert encryption == {
        "bucket": NAME,
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}],
    }


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
    (rule,) = deploy().one("BucketLifecycleConfiguration")["rules"]
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    assert (rule["status"], rule["filter"]) == ("Enabled", {"prefix": ""})


def test_pulumi_names_the_bucket_unless_a_setting_does(deploy: Deploy) -> None:
    assert "bucket" not in deploy().one("Bucket")
    assert deploy(bucket={"name": "images"}).one("Bucket")["bucket"] == "images"


def test_images_are_deleted_with_the_bucket_only_on_request(deploy: Deploy) -> None:
    assert deploy().one("Bucket")["forceDestroy"] is False
    assert deploy(bucket={"forceDestroy": True}).one("Bucket")["forceDestroy"] is True
