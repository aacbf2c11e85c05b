"""Roles of all accounts, and the sessions of those who assumed one: moto keeps them, and never ends them."""

from __future__ import annotations

import logging
import math
import re

from moto.core.utils import utcnow
from moto.iam.access_control import AssumedRoleAccessKey, CreateAccessKeyFailure
from moto.iam.models import Role, iam_backends
from moto.sts.models import AssumedRole, sts_backends

from sandbox.aws.iam_policy import Access, Decision, UnsupportedPolicyError, evaluate

log = logging.getLogger(__name__)

EXPIRED = "ExpiredToken"
"""The reason of a CreateAccessKeyFailure that moto does not know."""

longest_seconds = math.inf
"""For how long a session lasts at the most. AWS has roles' sessions last an hour, or longer."""

_ROLE_ARN = re.compile(r"arn:aws:iam::(\d{12}):role/.+")


def account_of(role_arn: str) -> str | None:
    """The account that a role with this ARN is in; None if it is none of a role."""
    match = _ROLE_ARN.fullmatch(role_arn)
    return match[1] if match else None


def find_role(arn: str) -> Role | None:
    """The role with this ARN, whichever account it is in; None if there is none."""
    account = account_of(arn)
    roles = list(iam_backends[account]["aws"].roles.values()) if account else []
    return next((role for role in roles if role.arn == arn), None)


def trusts(role: Role, *accesses: Access) -> bool:
    """Whether the role's trust policy allows each of `accesses`; not if it says what is not known."""
    try:
        return all(evaluate(role.assume_role_policy_document, each) is Decision.ALLOWED for each in accesses)
    except UnsupportedPolicyError as unsupported:
        log.error("The role %s is not assumed: %s", role.arn, unsupported)
        return False


def begin_session(role: Role, name: str, seconds: int, region: str, policy: str | None = None) -> AssumedRole:
    """Begin a session of `role`, whose rights `policy` may narrow, and return it with its temporary key."""
    return sts_backends[role.account_id]["aws"].assume_role(
        region_name=region, role_session_name=name, role_arn=role.arn, policy=policy or "",
        duration=int(min(seconds, longest_seconds)),
        external_id="",
    )  # fmt: skip


def session_of(key: AssumedRoleAccessKey) -> AssumedRole:
    """The session that the temporary `key` is of."""
    sessions = sts_backends[key.account_id][key.partition].assumed_roles
    return next(session for session in sessions if session.access_key_id == key._access_key_id)


def check_session(key: AssumedRoleAccessKey) -> None:
    """Raise CreateAccessKeyFailure if the session of `key` has ended, or its role is gone."""
    session = session_of(key)
    if session.expiration <= utcnow():
        raise CreateAccessKeyFailure(reason=EXPIRED)
    if find_role(session.role_arn) is None:
        raise CreateAccessKeyFailure(reason="InvalidId")
