"""The S3 bucket."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from sandbox.aws_plugin.errors import accepting, gone_on
from sandbox.aws_plugin.resource import AutoName, Resource
from sandbox.aws_plugin.shapes import tag_list, tag_map
from sandbox.aws_plugin.values import Properties

NO_LOCATION_CONSTRAINT = "us-east-1"
"""The region that CreateBucket takes by naming none."""

WEBSITE_ZONES = {
    # AWS General Reference, "Amazon S3 endpoints and quotas", website endpoints: Route 53 hosted zone ID.
    "us-east-1": "Z3AQBSTGFYJSTF",
    "us-east-2": "Z2O1EMRO9K5GLX",
    "us-west-1": "Z2F56UZL2M1ACD",
    "us-west-2": "Z3BJ6K6RIION7M",
    "eu-west-1": "Z1BKCTXD74EZPE",
    "eu-central-1": "Z21DNDUVLTQW6Q",
}


class Bucket(Resource):
    """`aws.s3.Bucket`: the bucket itself; what guards it are resources of their own."""

    pulumi_type = "aws:s3/bucket:Bucket"
    service = "s3"
    auto_name = AutoName("bucket", longest=63, lower=True)
    defaults: ClassVar = {"forceDestroy": False}
    replaces = frozenset({"bucket", "objectLockEnabled"})
    computed = frozenset({"objectLockEnabled"})
    local = frozenset({"forceDestroy"})
    unsupported = frozenset(
        {
            "accelerationStatus",
            "acl",
            "bucketNamespace",
            "bucketPrefix",
            "corsRules",
            "grants",
            "lifecycleRules",
            "logging",
            "objectLockConfiguration",
            "policy",
            "replicationConfiguration",
            "requestPayer",
            "serverSideEncryptionConfiguration",
            "versioning",
            "website",
        }
    )
    absent_outputs = unsupported | {"websiteDomain", "websiteEndpoint"}

    @override
    def create(self, inputs: Properties) -> str:
        name = inputs["bucket"]
        request: dict[str, Any] = {"Bucket": name}
        if self.region != NO_LOCATION_CONSTRAINT:
            request["CreateBucketConfiguration"] = {"LocationConstraint": self.region}
        if inputs.get("objectLockEnabled"):
            request["ObjectLockEnabledForBucket"] = True
        with self.doing(f"creating S3 Bucket ({name})"):
            self.client.create_bucket(**request)
        return name

    @override
    def configure(self, resource_id: str, inputs: Properties, state: Properties) -> None:
        tags = self.all_tags(inputs)
        if tags == state.get("tagsAll", {}):
            return
        with self.doing(f"setting S3 Bucket ({resource_id}) tags"):
            if tags:
                self.client.put_bucket_tagging(Bucket=resource_id, Tagging={"TagSet": tag_list(tags)})
            else:
                self.client.delete_bucket_tagging(Bucket=resource_id)

    @override
    def read(self, resource_id: str, state: Properties) -> Properties:
        with self.doing(f"reading S3 Bucket ({resource_id})"):
            with gone_on("404", "NoSuchBucket"):
                region = self.client.head_bucket(Bucket=resource_id)["BucketRegion"]
            tags: dict[str, str] = {}
            with accepting("NoSuchTagSet"):
                tags = tag_map(self.client.get_bucket_tagging(Bucket=resource_id)["TagSet"])
            locked = False
            with accepting("ObjectLockConfigurationNotFoundError"):
                self.client.get_object_lock_configuration(Bucket=resource_id)
                locked = True
        self.region = region
        return {
            "arn": f"arn:{self.aws.partition(region)}:s3:::{resource_id}",
            "bucket": resource_id,
            "bucketDomainName": f"{resource_id}.s3.amazonaws.com",
            "bucketRegion": region,
            "bucketRegionalDomainName": f"{resource_id}.s3.{region}.amazonaws.com",
            "hostedZoneId": WEBSITE_ZONES.get(region),
            "objectLockEnabled": locked,
            **self.tag_outputs(tags, state),
        }

    @override
    def delete(self, resource_id: str, state: Properties) -> None:
        with self.doing(f"deleting S3 Bucket ({resource_id})"), accepting("NoSuchBucket"):
            if state.get("forceDestroy"):
                self._empty(resource_id)
            self.client.delete_bucket(Bucket=resource_id)

    def _empty(self, bucket: str) -> None:
        """Delete every version of every object, and every delete marker; uploads under way go with the bucket."""
        for page in self.client.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = page.get("Versions", []) + page.get("DeleteMarkers", [])
            objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
            if objects:
                self.client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
