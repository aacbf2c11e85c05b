"""What the registry may do to its bucket, and what not."""

from __future__ import annotations

from registry.policies import registry_policy

ARN = "arn:aws:s3:::images"


def test_bucket_actions_are_allowed_on_the_bucket_and_object_actions_on_its_objects() -> None:
    allowed = {statement["Resource"]: set(statement["Action"]) for statement in registry_policy(ARN)["Statement"]}
    assert allowed == {
        ARN: {"s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"},
        f"{ARN}/*": {
            "s3:PutObject",
            "s3:GetObject",
            "s3:DeleteObject",
            "s3:ListMultipartUploadParts",
            "s3:AbortMultipartUpload",
        },
    }


def test_no_action_is_a_wildcard() -> None:
    for statement in registry_policy(ARN)["Statement"]:
        assert statement["Effect"] == "Allow"
        assert not [action for action in statement["Action"] if "*" in action]
