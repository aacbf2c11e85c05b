"""Who may do what in the emulated AWS: joins moto's signature checks with `iam_policy` and with S3's own rules.

moto leaves out conditions, bucket policies of the caller, KMS and copies' sources; here is what AWS decides for them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import xmltodict
from flask import request as current_request
from moto.iam import access_control as moto_iam
from moto.iam.access_control import AssumedRoleAccessKey, IAMRequestBase, IAMUserAccessKey
from moto.iam.models import Policy
from moto.route53.models import route53_backends
from moto.s3 import responses as moto_s3
from moto.s3.models import FakeBucket, FakeKey, s3_backends
from moto.utilities.utils import get_partition

from sandbox.aws.iam_policy import Access, Decision, UnsupportedPolicyError, evaluate
from sandbox.aws.resources import POD_IDENTITY, passed_role, permissions_boundary, resource_of
from sandbox.aws.role_sessions import check_session, find_role, session_of
from sandbox.aws.s3_actions import S3_ACTIONS
from sandbox.aws.s3_encryption import SSE, SSE_KEY, effective_encryption, resolve_key

log = logging.getLogger(__name__)

_create_any_access_key = moto_iam.create_access_key

SSE_CUSTOMER = "x-amz-server-side-encryption-customer-algorithm"

_ASSUMING_KEYS = {"sts:externalid": "ExternalId", "sts:rolesessionname": "RoleSessionName"}
"""The condition keys of AssumeRole, and the parameters that they are of."""


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
    """moto lets an access key that was made inactive go on working, and a session that has ended; AWS refuses them."""
    key = _create_any_access_key(account_id, partition, access_key_id, headers)
    if isinstance(key, IAMUserAccessKey):
        keys = key.backend.get_user(key._owner_user_name).access_keys
        if any(each.access_key_id == access_key_id and each.status != "Active" for each in keys):
            raise moto_iam.CreateAccessKeyFailure(reason="InvalidId")
    else:
        check_session(key)
    return key


def _check_action_permitted(self: IAMRequestBase, resource: str) -> None:
    """Raise the service's AccessDenied unless the caller may do all that the request, on `resource`, needs.

    moto ignores the conditions of policies, so that a `Deny` unless `aws:SecureTransport` denies everything.
    """
    if self._action == "sts:GetCallerIdentity":  # always allowed, as in AWS
        return
    if self._action == "sts:AssumeRole":
        if not _judged(self, lambda: _may_assume(self, resource)):
            self._raise_access_denied()
        return
    if self._service == "route53" and _is_zone_of_another_account(self):
        self._raise_access_denied()
    if self._service == "s3":
        needed = _s3_accesses(self, resource)
    else:
        needed = _accesses(self, resource_of(self) if resource == "*" else resource)
    for access in needed:
        if not _judged(self, lambda access=access: _permits(self, access)):
            self._raise_access_denied()


def _accesses(request: IAMRequestBase, resource: str) -> Iterator[Access]:
    """What AWS asks of the caller of a request that is none of S3."""
    boundary = permissions_boundary(request) if request._service == "iam" else None
    yield _access(request, request._action, resource, **{"iam:permissionsboundary": boundary})
    if role := passed_role(request):
        yield _access(request, "iam:GetRole", role)
        yield _access(request, "iam:PassRole", role, **{"iam:passedtoservice": POD_IDENTITY})


def _judged(request: IAMRequestBase, judgement: Callable[[], bool]) -> bool:
    """What `judgement` says; no, if it meets a policy that is not known."""
    try:
        return judgement()
    except UnsupportedPolicyError as unsupported:
        log.error("%s of %s is denied: %s", request._action, request._access_key.arn, unsupported)
        return False


def _may_assume(request: IAMRequestBase, role_arn: str) -> bool:
    """Whether the role's trust policy and the policies of the caller let the caller assume the role.

    moto asks for no trust in other accounts. A trust policy that names the caller suffices within an account; where
    it names the caller's account, and from another account always, the caller's own policies must allow it too.
    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, "Permissions"
    """
    role = find_role(role_arn)
    if role is None:
        return False
    given = {key: request._data.get(name, [None])[0] for key, name in _ASSUMING_KEYS.items()}
    access = _access(request, request._action, role_arn, **given, **{"aws:resourceaccount": role.account_id})
    trust = role.assume_role_policy_document
    if evaluate(trust, access, accounts_as_principals=True) is not Decision.ALLOWED:
        return False
    named = role.account_id == request.account_id and evaluate(trust, access) is Decision.ALLOWED
    return _permits(request, access, allowed_otherwise=named)


def _is_zone_of_another_account(request: IAMRequestBase) -> bool:
    """Whether a request of Route53 is about a hosted zone that is there, but not in the caller's account.

    moto does not find it; Route53 answers AccessDenied, whatever the caller's policies allow.
    """
    found = re.search(r"/(?:hostedzone|tags/hostedzone)/([A-Z0-9]+)", request._path)
    owners = [
        account for account, backend in list(route53_backends.items()) if found and found[1] in backend["aws"].zones
    ]
    return bool(owners) and request.account_id not in owners


def _permits(request: IAMRequestBase, access: Access, *, allowed_otherwise: bool = False) -> bool:
    """Whether one of the policies that apply, the bucket's among them, allows `access` and none denies it.

    A session may have a policy of its own, and a user or role a permissions boundary: what these do not allow, no
    other policy can give. The buckets of another account, which moto opens to all, are open to none here, whatever
    their policies say.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
    key = request._access_key
    documents: list[str | bytes] = [_document(policy) for policy in key.collect_policies()]
    name = access.resource.split(":::")[-1].split("/")[0] if ":s3:::" in access.resource else ""
    _, owner = s3_backends.bucket_accounts.get(name, ("aws", request.account_id))
    if owner != request.account_id and access.action != "s3:CreateBucket":  # which is told that the name is taken
        return False
    bucket = _bucket(request, name)
    if bucket and bucket.policy:
        documents.append(bucket.policy)
    decisions = {evaluate(document, access) for document in documents}
    session_policy = session_of(key).policy if isinstance(key, AssumedRoleAccessKey) else None
    for limit in (session_policy, _boundary(key)):
        if limit and evaluate(limit, access) is not Decision.ALLOWED:
            return False
    return (allowed_otherwise or Decision.ALLOWED in decisions) and Decision.DENIED not in decisions


def _boundary(key: IAMUserAccessKey | AssumedRoleAccessKey) -> str | None:
    """The permissions boundary of the user or role that `key` is of: a policy, or None."""
    if isinstance(key, IAMUserAccessKey):
        arn = getattr(key.backend.get_user(key._owner_user_name), "permissions_boundary_arn", None)
    else:
        arn = key.backend.get_role(key._owner_role_name).permissions_boundary_arn
    return _document(key.backend.managed_policies[arn]) if arn else None


def _document(policy: Any) -> str:
    if isinstance(policy, Policy):
        return next(version.document for version in policy.versions if version.is_default)
    return policy if isinstance(policy, str) else policy["policy_document"]


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
