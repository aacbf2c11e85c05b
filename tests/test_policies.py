"""What the registry may do to its bucket, and what not."""

from __future__ import annotations

from typing import Any

import pytest

from registry.policies import bucket_policy, registry_policy
from sandbox.aws.iam_policy import Access, Decision, evaluate

ARN = "arn:aws:s3:::images"
KEY = "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012"
OTHER_KEY = "arn:aws:kms:us-east-1:111122223333:key/87654321-4321-4321-4321-210987654321"


def test_bucket_actions_are_allowed_on_the_bucket_and_object_actions_on_its_objects() -> None:
    allowed = {
        statement["Resource"]: {
            *([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        }
        for statement in registry_policy(ARN, kms_key_arn=None)["Statement"]
    }
    assert allowed == {
        ARN: {"s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"},
        f"{ARN}/*": {
            "s3:PutObject",
            "s3:GetObject",
            "s3:DeleteObject",
            "s3:ListMultipartUploadParts",
            "s3:AbortMultipartUpload",
        },
        "*": {"kms:Decrypt"},
    }


def test_new_objects_are_encrypted_by_the_buckets_key_only() -> None:
    statements = registry_policy(ARN, kms_key_arn=KEY)["Statement"]
    assert statements[:-1] == registry_policy(ARN, kms_key_arn=None)["Statement"]
    assert (statements[-1]["Resource"], statements[-1]["Action"]) == (KEY, "kms:GenerateDataKey")


@pytest.mark.parametrize("key", [None, KEY, OTHER_KEY])
@pytest.mark.parametrize(
    ("service", "of", "decided"),
    [
        ("s3.us-east-1.amazonaws.com", f"{ARN}/layer", Decision.ALLOWED),
        ("s3.cn-north-1.amazonaws.com.cn", ARN, Decision.ALLOWED),
        ("s3.us-east-1.amazonaws.com", f"{ARN}-too/layer", Decision.SILENT),
        ("secretsmanager.us-east-1.amazonaws.com", ARN, Decision.SILENT),
    ],
)
def test_what_is_in_the_bucket_is_decrypted_by_whichever_key_it_was_written_with_and_nothing_else(
    key: str | None, service: str, of: str, decided: Decision
) -> None:
    context = {"kms:viaservice": service, "kms:encryptioncontext:aws:s3:arn": of}
    access = Access("kms:Decrypt", KEY, frozenset({"arn"}), "111122223333", context)
    assert evaluate(registry_policy(ARN, kms_key_arn=key), access) is decided


def decision(policy: dict[str, Any], action: str, *, tls: bool = True, encryption: str = "", key: str = "") -> Decision:
    """What a bucket's policy says of a request for an object, with the headers of encryption that it has."""
    context = {"aws:securetransport": str(tls).lower()}
    if encryption:
        context["s3:x-amz-server-side-encryption"] = encryption
    if key:
        context["s3:x-amz-server-side-encryption-aws-kms-key-id"] = key
    return evaluate(policy, Access(action, f"{ARN}/layer", frozenset({"arn"}), "111122223333", context))


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"])
def test_the_bucket_denies_plain_http_and_leaves_the_rest_to_permissions(action: str) -> None:
    policy = bucket_policy(ARN, tls_only=True, kms_key_arn=None)
    assert decision(policy, action, tls=False) is Decision.DENIED
    assert decision(policy, action, tls=True, encryption="AES256") is Decision.SILENT


@pytest.mark.parametrize(
    ("encryption", "key", "decided"),
    [
        ("", "", Decision.SILENT),
        ("aws:kms", KEY, Decision.SILENT),
        ("aws:kms", OTHER_KEY, Decision.DENIED),
        ("aws:kms", "", Decision.DENIED),
        ("AES256", "", Decision.DENIED),
    ],
)
def test_a_bucket_under_a_kms_key_denies_uploads_that_name_another_encryption(
    encryption: str, key: str, decided: Decision
) -> None:
    policy = bucket_policy(ARN, tls_only=False, kms_key_arn=KEY)
    assert decision(policy, "s3:PutObject", encryption=encryption, key=key) is decided
    assert decision(policy, "s3:GetObject", tls=False) is Decision.SILENT


@pytest.mark.parametrize("key", [None, KEY])
def test_a_bucket_denies_uploads_under_a_key_that_comes_with_each_request(key: str | None) -> None:
    policy = bucket_policy(ARN, tls_only=False, kms_key_arn=key)
    context = {"s3:x-amz-server-side-encryption-customer-algorithm": "AES256"}
    access = Access("s3:PutObject", f"{ARN}/layer", frozenset({"arn"}), "111122223333", context)
    assert evaluate(policy, access) is Decision.DENIED
