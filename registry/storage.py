"""Storage: the S3 bucket that keeps the images, and what guards it."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from registry import storage_check
from registry.policies import bucket_policy
from registry.settings import AccessLogsSettings, BucketSettings

ABORT_INCOMPLETE_UPLOADS_DAYS = 7
"""Parts of uploads that were never finished cost money and are in no listing; no push takes a week."""


class Storage(pulumi.ComponentResource):
    """An encrypted, private S3 bucket, that refuses plain HTTP and, under a KMS key, what is encrypted otherwise.

    What guards the images is there with every setting, protected as the bucket is, and goes with the bucket only: a
    destroy that fails at the bucket, or leaves it out, leaves the six guards too.

    `bucket_name`: None for one that Pulumi makes. `was_versioned`: it kept versions of objects, at whatever time.

    Outputs: `bucket_name`, `bucket_arn` and `region` of the bucket, each an Output[str]; `check`, the objects that the
    storage check looks at.
    """

    bucket_name: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]
    region: pulumi.Output[str]
    check: list[aws.s3.BucketObjectv2]

    def __init__(
        self,
        name: str,
        *,
        settings: BucketSettings,
        bucket_name: str | None,
        was_versioned: bool,
        access_logs: AccessLogsSettings,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("registry:index:Storage", name, None, opts)

        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            bucket=bucket_name,
            force_destroy=settings.force_destroy,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self, protect=settings.protect),
        )
        guard = pulumi.ResourceOptions(parent=self, protect=settings.protect, deleted_with=bucket)
        encryption = aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.bucket,
            rules=[_encryption(settings.kms_key_arn)],
            opts=guard,
        )
        public_access_block = aws.s3.BucketPublicAccessBlock(
            f"{name}-public-access-block",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=guard,
        )
        aws.s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=bucket.bucket,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=guard,
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.bucket,
            rules=[
                {
                    "id": "abort-incomplete-uploads",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": ABORT_INCOMPLETE_UPLOADS_DAYS},
                },
                # Without versioning too: it clears away what was kept while there was.
                {
                    "id": "expire-noncurrent-versions",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "noncurrent_version_expiration": {"noncurrent_days": settings.noncurrent_version_days},
                    "expiration": {"expired_object_delete_marker": True},
                },
            ],
            opts=guard,
        )
        aws.s3.BucketVersioning(
            f"{name}-versioning",
            bucket=bucket.bucket,
            versioning_configuration={"status": _versioning(settings, was_versioned=was_versioned)},
            opts=guard,
        )
        document = bucket.arn.apply(
            lambda arn: bucket_policy(arn, tls_only=settings.tls_only, kms_key_arn=settings.kms_key_arn)
        )
        policy = aws.s3.BucketPolicy(
            f"{name}-bucket-policy",
            bucket=bucket.bucket,
            policy=pulumi.Output.json_dumps(document),
            # S3 refuses changes of a bucket's policy and its public access block at the same time.
            opts=pulumi.ResourceOptions.merge(guard, pulumi.ResourceOptions(depends_on=[public_access_block])),
        )

        if access_logs.bucket:
            aws.s3.BucketLogging(
                f"{name}-logging",
                bucket=bucket.bucket,
                target_bucket=access_logs.bucket,
                target_prefix=pulumi.Output.concat(bucket.bucket, "/"),
                opts=pulumi.ResourceOptions(parent=self, deleted_with=bucket),
            )

        # Under the bucket's own encryption and rules, as the images are. They go before the bucket: it is to be empty.
        after = pulumi.ResourceOptions(parent=self, depends_on=[encryption, policy])
        self.check = storage_check.objects(name, bucket.bucket, after)
        self.bucket_name = bucket.bucket
        self.bucket_arn = bucket.arn
        self.region = bucket.region
        self.register_outputs({})


def _encryption(kms_key_arn: str | None) -> aws.s3.BucketServerSideEncryptionConfigurationRuleArgsDict:
    """The bucket's default encryption: SSE-S3, or SSE-KMS with a bucket key, which saves most calls of KMS."""
    if not kms_key_arn:
        return {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}
    return {
        "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms", "kms_master_key_id": kms_key_arn},
        "bucket_key_enabled": True,
    }


def _versioning(settings: BucketSettings, *, was_versioned: bool) -> str:
    """The status: S3 never takes a bucket back to `Disabled`. Suspended, it makes a marker of every deletion."""
    if settings.versioning:
        return "Enabled"
    return "Suspended" if was_versioned else "Disabled"
