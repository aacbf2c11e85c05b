"""Who may do what in the emulated AWS: joins moto's signature checks with `iam_policy` and with S3's own rules.

moto leaves out conditions, bucket policies of the caller, KMS and copies' sources; here is what AWS decides for them.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import xmltodict
from flask import request as current_request
from moto.iam import access_control as moto_iam
from moto.iam.access_control import AssumedRoleAccessKey, IAMRequestBase, IAMUserAccessKey
from moto.iam.models import Policy
from moto.kms.models import kms_backends
from moto.s3 import responses as moto_s3
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, FakeKey, s3_backends
from moto.utilities.utils import get_partition

from sandbox.aws.iam_policy import Access, Decision, UnsupportedPolicyError, evaluate

log = logging.getLogger(__name__)

_create_any_access_key = moto_iam.create_access_key

SSE = "x-amz-server-side-encryption"
SSE_KEY = "x-amz-server-side-encryption-aws-kms-key-id"
SSE_CUSTOMER = "x-amz-server-side-encryption-customer-algorithm"

S3_ACTIONS = {
    "BUCKET": {
        "HEAD": {"DEFAULT": "ListBucket"},
        "GET": {
            "encryption": "GetEncryptionConfiguration",
            "object-lock": "GetBucketObjectLockConfiguration",
            "ownershipControls": "GetBucketOwnershipControls",
            "publicAccessBlock": "GetBucketPublicAccessBlock",
            "replication": "GetReplicationConfiguration",
        },
        "PUT": {
            "encryption": "PutEncryptionConfiguration",
            "object-lock": "PutBucketObjectLockConfiguration",
            "ownershipControls": "PutBucketOwnershipControls",
            "publicAccessBlock": "PutBucketPublicAccessBlock",
            "replication": "PutReplicationConfiguration",
        },
        "DELETE": {
            "encryption": "PutEncryptionConfiguration",
            "ownershipControls": "PutBucketOwnershipControls",
            "publicAccessBlock": "PutBucketPublicAccessBlock",
            "replication": "PutReplicationConfiguration",
        },
    },
    "KEY": {
        "HEAD": {"versionId": "GetObjectVersion"},
        "GET": {"attributes": "GetObjectAttributes"},
        "DELETE": {"tagging": "DeleteObjectTagging"},
    },
}
"""IAM actions of S3 requests that moto has wrong or lacks (it calls HEAD of a bucket `s3:HeadBucket`, which does not
exist, and PUT of a bucket's encryption `s3:CreateBucket`): kind, method, query parameter.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"""


def enforce() -> None:
    """Make this process's moto decide as AWS does. Calling it again changes nothing."""
    for kind, methods in S3_ACTIONS.items():
        for method, actions in methods.items():
            moto_s3.ACTION_MAP[kind][method].update(actions)
    IAMRequestBase.check_action_permitted = _check_action_permitted
    FakeBucket.get_permission = _leave_it_to_check_action_permitted
    moto_iam.create_access_key = _create_access_key


def _leave_it_to_check_action_permitted(self: FakeBucket, action: str, resource: str) -> moto_iam.PermissionResult:
    """moto looks at a bucket's policy before it knows the caller, under made-up actions (`s3:HeadObject`)."""
    return moto_iam.PermissionResult.NEUTRAL


def _create_access_key(
    account_id: str, partition: str, access_key_id: str, headers: dict[str, str]
) -> IAMUserAccessKey | AssumedRoleAccessKey:
    """moto lets an access key that was made inactive go on working; AWS refuses it."""
    key = _create_any_access_key(account_id, partition, access_key_id, headers)
    if isinstance(key, IAMUserAccessKey):
        keys = key.backend.get_user(key._owner_user_name).access_keys
        if any(each.access_key_id == access_key_id and each.status != "Active" for each in keys):
            raise moto_iam.CreateAccessKeyFailure(reason="InvalidId")
    return key


def _check_action_permitted(self: IAMRequestBase, resource: str) -> None:
    """Raise the service's AccessDenied unless the caller may do all that the request, on `resource`, needs.

    moto ignores the conditions of policies, so that a `Deny` unless `aws:SecureTransport` denies everything.
    """
    if self._action == "sts:GetCallerIdentity":  # always allowed, as in AWS
        return
    if self._service == "s3":
        needed = _s3_accesses(self, resource)
    else:
        needed = [_access(self, self._action, _resource(self) if resource == "*" else resource)]
    for access in needed:
        try:
            permitted = _permits(self, access)
        except UnsupportedPolicyError as unsupported:
            log.error("%s on %s is denied: %s", access.action, access.resource, unsupported)
            permitted = False
        if not permitted:
            self._raise_access_denied()
    if self._is_assuming_role_operation(resource) and not self._check_role_trust_relationship(resource):
        self._raise_access_denied()


def _permits(request: IAMRequestBase, access: Access) -> bool:
    """Whether one of the policies that apply, the bucket's among them, allows `access` and none denies it."""
    documents: list[str | bytes] = [_document(policy) for policy in request._access_key.collect_policies()]
    bucket = _bucket(request, access.resource.split(":::")[-1].split("/")[0]) if ":s3:::" in access.resource else None
    if bucket and bucket.policy:
        documents.append(bucket.policy)
    decisions = {evaluate(document, access) for document in documents}
    return Decision.ALLOWED in decisions and Decision.DENIED not in decisions


def _document(policy: Any) -> str:
    if isinstance(policy, Policy):
        return next(version.document for version in policy.versions if version.is_default)
    return policy if isinstance(policy, str) else policy["policy_document"]


def _resource(request: IAMRequestBase) -> str:
    """The ARN of the user, hosted zone, certificate or key that a request is about; `*` if it is about none of them.

    moto has them all be about `*`, which a policy that names resources does not allow.
    https://docs.aws.amazon.com/service-authorization/latest/reference/
    """
    match request._service:
        case "iam":
            # Fields of a form, each a list.
            (name,), (path,) = request._data.get("UserName", [""]), request._data.get("Path", ["/"])
            user = request.backend.users.get(name)
            new = f"arn:aws:iam::{request.account_id}:user{path}{name}" if name else "*"
            return user.arn if user else new
        case "route53":
            found = re.search(r"/(hostedzone|change)/([A-Z0-9]+)", request._path)
            return f"arn:aws:route53:::{found[1]}/{found[2]}" if found else "*"
        case "acm" | "kms":
            fields = json.loads(request._body or b"{}")
            found = fields.get("CertificateArn") or fields.get("KeyId") or ""
            return found if found.startswith("arn:") else "*"
        case _:
            return "*"


def _access(request: IAMRequestBase, action: str, resource: str, **context: str | None) -> Access:
    key = request._access_key
    if isinstance(key, IAMUserAccessKey):
        arns = [key.backend.get_user(key._owner_user_name).arn]
    else:
        arns = [key.backend.get_role(key._owner_role_name).arn, key.arn]
    everywhere = {
        "aws:securetransport": "true" if current_request.is_secure else "false",
        "aws:principalarn": arns[0],
        "aws:principalaccount": request.account_id,
        "aws:resourceaccount": request.account_id,
    }
    given = {name: value for name, value in context.items() if value is not None}
    return Access(action, resource, frozenset(arns), request.account_id, everywhere | given)


def _bucket(request: IAMRequestBase, name: str) -> FakeBucket | None:
    return s3_backends[request.account_id][get_partition(request._region)].buckets.get(name)


def _s3_accesses(request: IAMRequestBase, resource: str) -> Iterator[Access]:
    """All that AWS asks of the caller of one S3 request, beside the action that the request is named after."""
    name, _, key_name = resource.split(":::", 1)[1].partition("/")
    query = parse_qs(urlsplit(request._path).query, keep_blank_values=True)
    bucket = _bucket(request, name)
    if request._method == "POST" and "delete" in query:
        # DeleteObjects: the permission on each of its objects. moto asks it once, on the bucket.
        for entry in _objects_to_delete(request._body):
            action = "s3:DeleteObjectVersion" if entry.get("VersionId") else "s3:DeleteObject"
            yield _access(request, action, f"{resource}/{entry['Key']}")
        return
    upload = bucket.multiparts.get(query["uploadId"][0]) if bucket and "uploadId" in query else None
    algorithm, key_id = request._headers.get(SSE), request._headers.get(SSE_KEY)
    if upload:
        # Parts carry no encryption headers of their own: the upload's beginning decided it for them.
        algorithm, key_id = upload.sse_encryption, upload.kms_key_id
    key_arn = resolve_key(key_id, request.account_id, request._region)
    prefix = query.get("prefix", [None])[0]
    given = {SSE: algorithm, SSE_KEY: key_arn, SSE_CUSTOMER: request._headers.get(SSE_CUSTOMER), "prefix": prefix}
    yield _access(request, request._action, resource, **{f"s3:{header}": value for header, value in given.items()})
    if not bucket or not key_name:
        return
    stored = s3_backends[request.account_id]["aws"].get_object(name, key_name)
    if request._action == "s3:GetObject" and stored is None:
        # Who may not list a bucket gets 403 for what is not there, not 404.
        yield _access(request, "s3:ListBucket", resource.partition("/")[0])
    if request._action == "s3:GetObject" and request._method == "GET" and stored:
        yield from _decryption(request, resource, stored)
    if request._action == "s3:PutObject":
        if source := request._headers.get("x-amz-copy-source"):
            yield from _source_accesses(request, source)
        has_bucket_key = bool(bucket.encryption and bucket.encryption["Rule"].get("BucketKeyEnabled"))
        context = _encryption_context(resource, has_bucket_key=has_bucket_key)
        if upload:
            yield from _kms_accesses(request, algorithm, key_arn, "kms:Decrypt", context)
        else:
            encryption = effective_encryption(bucket, request._headers, request._region)
            yield from _kms_accesses(request, *encryption, "kms:GenerateDataKey", context)


def _objects_to_delete(body: bytes) -> list[dict[str, str]]:
    entries = xmltodict.parse(body, strip_whitespace=False)["Delete"].get("Object", [])
    return entries if isinstance(entries, list) else [entries]


def _source_accesses(request: IAMRequestBase, source: str) -> Iterator[Access]:
    """Reading the source of a copy. moto lets a copy read whatever its caller can name."""
    path, _, version = source.lstrip("/").partition("?versionId=")
    name, _, key_name = unquote(path).partition("/")
    action = "s3:GetObjectVersion" if version else "s3:GetObject"
    yield _access(request, action, f"arn:aws:s3:::{name}/{key_name}")
    if bucket := _bucket(request, name):
        stored = s3_backends[request.account_id]["aws"].get_object(bucket.name, key_name, version_id=version or None)
        if stored:
            yield from _decryption(request, f"arn:aws:s3:::{name}/{key_name}", stored)


def _decryption(request: IAMRequestBase, arn: str, stored: FakeKey) -> Iterator[Access]:
    context = _encryption_context(arn, has_bucket_key=bool(stored.bucket_key_enabled))
    yield from _kms_accesses(request, stored.encryption, stored.kms_key_id, "kms:Decrypt", context)


def _encryption_context(arn: str, *, has_bucket_key: bool) -> str:
    """What S3 tells KMS of an object: its ARN, or with a bucket key that of the bucket.

    docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html, "Encryption context"
    """
    return arn.partition("/")[0] if has_bucket_key else arn


def _kms_accesses(
    request: IAMRequestBase, algorithm: str | None, key_arn: str | None, action: str, encryption_context: str
) -> Iterator[Access]:
    """The use of a customer's KMS key on the caller's behalf. (The account's own key `aws/s3` is open to all of it.)"""
    if algorithm == "aws:kms" and key_arn:
        context = {
            "kms:viaservice": f"s3.{request._region}.amazonaws.com",
            "kms:encryptioncontext:aws:s3:arn": encryption_context,
        }
        yield _access(request, action, key_arn, **context)


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
