"""Who the registry is to AWS."""

from __future__ import annotations

import json

from registry.policies import registry_policy
from tests.mock_engine import Deploy


def test_an_iam_user_may_use_the_one_bucket(deploy: Deploy) -> None:
    policy = deploy(bucket={"name": "images"}).one("UserPolicy")
    assert policy["user"] == "registry-user-1a2b3c4"
    assert json.loads(policy["policy"]) == registry_policy("arn:aws:s3:::images", kms_key_arn=None)


def test_the_user_may_also_use_the_buckets_kms_key(deploy: Deploy) -> None:
    key = "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012"
    policy = deploy(bucket={"name": "images", "kmsKeyArn": key}).one("UserPolicy")
    assert json.loads(policy["policy"]) == registry_policy("arn:aws:s3:::images", kms_key_arn=key)


def test_the_access_key_is_that_users(deploy: Deploy) -> None:
    assert deploy().one("AccessKey")["user"] == "registry-user-1a2b3c4"
