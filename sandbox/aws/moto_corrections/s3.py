"""Buckets, objects, versions, and policies."""

from __future__ import annotations

import json
from typing import Any

from moto.iam.exceptions import MalformedPolicyDocument
from moto.iam.policy_validation import IAMPolicyDocumentValidator
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, FakeKey, FakeMultipart, S3Backend

from sandbox.aws import iam_policy
from sandbox.aws.moto_corrections.replacing import instead_of
from sandbox.aws.s3_encryption import SSE, SSE_KEY, effective_encryption

_S3_MANAGED = {"Rule": {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}}


def encrypt_buckets_by_default() -> None:
    """moto encrypts an object only if its request or a configuration of the bucket says so.

    AWS has given every bucket SSE-S3 since 2023-01, reports it as the bucket's configuration, and goes back to it
    when the configuration is deleted. https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-bucket-encryption.html
    """

    @instead_of(FakeBucket, "__init__")
    def _(original: Any, self: FakeBucket, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        self.encryption = _S3_MANAGED

    @instead_of(S3Backend, "delete_bucket_encryption")
    def _(_original: Any, self: S3Backend, bucket_name: str) -> None:
        self.get_bucket(bucket_name).encryption = _S3_MANAGED


def keep_the_encryption_that_was_asked_for() -> None:
    """moto keeps the key's id as it was written, mixes a request's algorithm with the bucket's key, and leaves
    multipart uploads without the bucket's default until they are completed.

    AWS resolves the key's id to its ARN, and decides a multipart upload's encryption when it begins.
    """

    @instead_of(S3Backend, "put_object")
    def _(original: Any, self: S3Backend, bucket_name: str, *arguments: Any, **named: Any) -> FakeKey:
        bucket = self.get_bucket(bucket_name)
        asked = {SSE: named.get("encryption"), SSE_KEY: named.get("kms_key_id")}
        key = original(self, bucket_name, *arguments, **named)
        key.encryption, key.kms_key_id = effective_encryption(bucket, asked, bucket.region_name)
        return key

    @instead_of(S3Backend, "create_multipart_upload")
    def _(original: Any, self: S3Backend, bucket_name: str, *arguments: Any, **named: Any) -> FakeMultipart:
        bucket = self.get_bucket(bucket_name)
        upload = original(self, bucket_name, *arguments, **named)
        asked = {SSE: upload.sse_encryption, SSE_KEY: upload.kms_key_id}
        upload.sse_encryption, upload.kms_key_id = effective_encryption(bucket, asked, bucket.region_name)
        return upload


def refuse_policies_that_cannot_be_evaluated() -> None:
    """moto takes any policy and ignores what it does not know of it.

    Here a policy with an element, condition or variable that `iam_policy` does not know is refused when it is
    written (MalformedPolicy, MalformedPolicyDocument), so that no test passes by a policy that did nothing.
    """

    @instead_of(S3Backend, "put_bucket_policy")
    def _(original: Any, self: S3Backend, bucket_name: str, policy: bytes) -> None:
        try:
            iam_policy.check(policy)
        except (iam_policy.UnsupportedPolicyError, json.JSONDecodeError) as error:
            raise S3ClientError("MalformedPolicy", str(error)) from error
        original(self, bucket_name, policy)

    @instead_of(IAMPolicyDocumentValidator, "validate")
    def _(original: Any, self: IAMPolicyDocumentValidator) -> None:
        original(self)
        try:
            iam_policy.check(self._policy_document)
        except iam_policy.UnsupportedPolicyError as error:
            raise MalformedPolicyDocument(str(error)) from error


def keep_the_versions_of_suspended_buckets() -> None:
    """moto forgets every version of an object that is deleted once versioning is suspended, or fails at it.

    S3 goes on keeping the versions that there are, and deletes the one that is named.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectsfromVersioningSuspendedBuckets.html
    """

    @instead_of(S3Backend, "delete_object")
    def _(original: Any, self: S3Backend, bucket_name: str, *arguments: Any, **named: Any) -> Any:
        bucket = self.get_bucket(bucket_name)
        if bucket.versioning_status != "Suspended":
            return original(self, bucket_name, *arguments, **named)
        bucket.versioning_status = "Enabled"
        try:
            return original(self, bucket_name, *arguments, **named)
        finally:
            bucket.versioning_status = "Suspended"


def page_through_versions_that_are_deleted_meanwhile() -> None:
    """moto finds nothing behind a version that is no longer there: a bucket of more than a page is never emptied.

    S3 goes on behind the place that the markers name, whatever has become of what was there.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
    """

    @instead_of(S3Backend, "list_object_versions")
    def _(
        original: Any,
        self: S3Backend,
        bucket_name: str,
        *,
        key_marker: str | None = None,
        version_id_marker: str | None = None,
        max_keys: int | None = 1000,
        **named: Any,
    ) -> Any:
        kept = self.get_bucket(bucket_name).keys.getlist(key_marker, []) if key_marker else []
        if not version_id_marker or any(version.version_id == version_id_marker for version in kept):
            named |= {"key_marker": key_marker, "version_id_marker": version_id_marker, "max_keys": max_keys}
            return original(self, bucket_name, **named)
        # What is left of that key was behind the version that is gone: pages are deleted in their order.
        versions, prefixes, markers, *_ = original(self, bucket_name, max_keys=None, **named)
        behind = sorted(
            (one for one in [*versions, *markers] if one.name >= (key_marker or "")),
            key=lambda one: (one.name, -one.last_modified.timestamp()),
        )
        page = behind[:max_keys]
        last = page[-1] if len(behind) > len(page) else None
        return (
            [one for one in page if isinstance(one, FakeKey)],
            prefixes,
            [one for one in page if not isinstance(one, FakeKey)],
            last and last.name,
            last and last.version_id,
        )
