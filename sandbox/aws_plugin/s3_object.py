"""Objects in a bucket."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from sandbox.aws_plugin.errors import accepting, gone_on
from sandbox.aws_plugin.resource import Resource
from sandbox.aws_plugin.values import Properties


class BucketObject(Resource):
    """`aws.s3.BucketObjectv2`: an object whose content is given as text."""

    pulumi_type = "aws:s3/bucketObjectv2:BucketObjectv2"
    service = "s3"
    defaults: ClassVar = {"forceDestroy": False}
    replaces = frozenset({"bucket", "key"})
    computed = frozenset(
        {"bucketKeyEnabled", "contentType", "etag", "kmsKeyId", "serverSideEncryption", "storageClass"}
    )
    local = frozenset({"forceDestroy", "content"})
    """S3 keeps the content, but the provider doesn't read it: what else is there has another etag."""
    derived: ClassVar = {"content": frozenset({"etag", "versionId"})}
    unsupported = frozenset(
        {
            "acl",
            "bucketKeyEnabled",
            "cacheControl",
            "checksumAlgorithm",
            "contentBase64",
            "contentDisposition",
            "contentEncoding",
            "contentLanguage",
            "contentType",
            "etag",
            "kmsKeyId",
            "metadata",
            "objectLockLegalHoldStatus",
            "objectLockMode",
            "objectLockRetainUntilDate",
            "overrideProvider",
            "serverSideEncryption",
            "source",
            "sourceHash",
            "storageClass",
            "tags",
            "websiteRedirect",
        }
    )
    absent_outputs = (unsupported - computed) | {
        "checksumCrc32",
        "checksumCrc32c",
        "checksumCrc64nvme",
        "checksumSha1",
        "checksumSha256",
    }

    @override
    def create(self, inputs: Properties) -> str:
        self._put(inputs)
        return inputs["key"]

    def _put(self, inputs: Properties) -> None:
        bucket, key = inputs["bucket"], inputs["key"]
        with self.doing(f"uploading S3 Object ({key}) to Bucket ({bucket})"):
            self.client.put_object(Bucket=bucket, Key=key, Body=(inputs.get("content") or "").encode())

    @override
    def configure(self, resource_id: str, inputs: Properties, state: Properties) -> None:
        if state and inputs.get("content") != state.get("content"):
            self._put(inputs)

    @override
    def read(self, resource_id: str, state: Properties) -> Properties:
        bucket = state["bucket"]
        with self.doing(f"reading S3 Object ({resource_id})"), gone_on("404", "NoSuchKey", "NoSuchBucket"):
            found = self.client.head_object(Bucket=bucket, Key=resource_id)
        return {
            "arn": f"arn:{self.aws.partition()}:s3:::{bucket}/{resource_id}",
            "bucket": bucket,
            "key": resource_id,
            "bucketKeyEnabled": found.get("BucketKeyEnabled", False),
            "contentType": found["ContentType"],
            "etag": found["ETag"].strip('"'),
            "kmsKeyId": found.get("SSEKMSKeyId"),
            "serverSideEncryption": found.get("ServerSideEncryption", ""),
            "storageClass": found.get("StorageClass", "STANDARD"),
            "tagsAll": {},
            "versionId": found.get("VersionId", ""),
        }

    @override
    def delete(self, resource_id: str, state: Properties) -> None:
        """All versions go, as the provider does it (`deleteAllObjectVersions`): the bucket is to be empty."""
        bucket = state["bucket"]
        with self.doing(f"deleting S3 Object ({resource_id})"), accepting("NoSuchBucket", "NoSuchKey"):
            for page in self.client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=resource_id):
                found = [
                    one for one in page.get("Versions", []) + page.get("DeleteMarkers", []) if one["Key"] == resource_id
                ]
                for one in found:
                    self.client.delete_object(Bucket=bucket, Key=resource_id, VersionId=one["VersionId"])
