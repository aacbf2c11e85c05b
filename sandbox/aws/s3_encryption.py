"""How S3 encrypts an object: the algorithm and the KMS key that a request or its bucket's default asks for."""

from __future__ import annotations

from typing import Any

from moto.kms.models import kms_backends
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket

SSE = "x-amz-server-side-encryption"
SSE_KEY = "x-amz-server-side-encryption-aws-kms-key-id"


def effective_encryption(bucket: FakeBucket, headers: Any, region: str) -> tuple[str, str | None]:
    """The encryption of an object made in `bucket` by a request with `headers`: SSE algorithm and KMS key's ARN.

    Raises S3ClientError if the key does not exist or is disabled.
    """
    default = bucket.encryption["Rule"]["ApplyServerSideEncryptionByDefault"]  # pyright: ignore[reportOptionalSubscript]
    algorithm = headers.get(SSE) or default["SSEAlgorithm"]
    if algorithm != "aws:kms":
        return algorithm, None
    key_id = headers.get(SSE_KEY) or (default.get("KMSMasterKeyID") if not headers.get(SSE) else None)
    return algorithm, resolve_key(key_id, bucket.account_id, region)


def resolve_key(key_id: str | None, account: str, region: str) -> str | None:
    """The ARN of the KMS key that `key_id` (id, ARN, alias or alias's ARN) names; None for None.

    Raises S3ClientError as S3 answers: `KMS.NotFoundException`, or `KMS.DisabledException`.
    """
    if not key_id:
        return None
    backend = kms_backends[account][region]
    alias = backend.get_alias_name(key_id)
    key = backend.keys.get(backend.get_key_id_from_alias(alias) or backend.get_key_id(key_id))
    if key is None:
        raise S3ClientError("KMS.NotFoundException", f"Key '{key_id}' does not exist")
    if key.key_state != "Enabled":
        raise S3ClientError("KMS.DisabledException", f"{key.arn} is {key.key_state}.")
    return key.arn
