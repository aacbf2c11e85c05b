"""IAM policy documents: what the registry may do, and nothing else. Pure."""

from __future__ import annotations

from typing import Any


def registry_policy(bucket_arn: str) -> dict[str, Any]:
    """The least that the registry's S3 driver needs on its bucket, as an IAM policy document.

    The actions: distribution.github.io/distribution/storage-drivers/s3, section "S3 permission scopes".
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Bucket",
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
                "Resource": bucket_arn,
            },
            {
                "Sid": "Objects",
                "Effect": "Allow",
                "Action": [
                    "s3:PutObject",
                    "s3:GetObject",
                    "s3:DeleteObject",
                    "s3:ListMultipartUploadParts",
                    "s3:AbortMultipartUpload",
                ],
                "Resource": f"{bucket_arn}/*",
            },
        ],
    }
