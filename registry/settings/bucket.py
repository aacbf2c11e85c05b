"""The settings of the bucket."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from registry.settings.model import SettingsModel
from registry.settings.value_types import BucketName, EndpointUrl, KmsKeyArn, refused

_TLS_RULE = "have https, or bucket.tlsOnly denies every request"


class BucketSettings(SettingsModel):
    """`bucket`: where the images are kept, and what guards them."""

    name: BucketName | None = Field(
        default=None, examples=["my-images"], description="The bucket's name. Left out: Pulumi makes a unique one."
    )
    protect: bool = Field(
        default=True,
        description="Refuse to delete or replace the bucket and what guards it (Pulumi's protect): `pulumi destroy` "
        "stops at its preview, before it has deleted anything. Set it to false, and run `pulumi up`, before a teardown "
        "that is meant.",
    )
    force_destroy: bool = Field(
        default=False,
        description="Let `pulumi destroy` delete the images with the bucket. It counts from the next `pulumi up` on. "
        "With false, AWS refuses to delete a bucket that holds anything.",
    )
    kms_key_arn: KmsKeyArn | None = Field(
        default=None,
        examples=["arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012"],
        description="Encrypt with this KMS key of the bucket's region, and refuse what is encrypted otherwise. Left "
        "out: S3's own keys (SSE-S3, AES256). What is in the bucket stays under the key that it was written "
        "with, and is read by that: never delete or disable a former key while anything is under it.",
    )
    versioning: bool = Field(
        default=False,
        description="Keep what is deleted or overwritten as a non-current version, for noncurrentVersionDays. Off by "
        "default, as each layer is kept twice so long: the registry moves it when its upload ends. Switched off again, "
        "it is suspended.",
    )
    noncurrent_version_days: int = Field(
        default=30,
        ge=1,
        examples=[7],
        description="After how many days a non-current version is deleted for good, at least 1.",
    )
    tls_only: bool = Field(
        default=True,
        description="Deny every request to the bucket by plain HTTP. Only an endpoint without TLS needs false.",
    )
    endpoint: EndpointUrl | None = Field(
        default=None,
        examples=["https://s3.mx-central-1.amazonaws.com"],
        json_schema_extra={"together": _TLS_RULE},
        description="Another URL of the bucket's own S3: of a VPC endpoint, or of a region that the registry does not "
        "know yet. No other vendor's store: bucket, user and key are made at AWS. Left out: the region's own.",
    )

    @field_validator("endpoint")
    @classmethod
    def _endpoint_has_tls(cls, endpoint: str | None, info: ValidationInfo) -> str | None:
        if endpoint and endpoint.startswith("http:") and info.data.get("tls_only"):
            raise refused(
                _TLS_RULE,
                "give an endpoint with https, or run pulumi config set --path bucket.tlsOnly false",
            )
        return endpoint
