"""Roles of all accounts, and the sessions of those who assumed one: moto keeps them, and never ends them."""

from __future__ import annotations

import re

from moto.core.utils import utcnow
from moto.iam.access_control import AssumedRoleAccessKey, CreateAccessKeyFailure
from moto.iam.models import Role, iam_backends
from moto.sts.models import AssumedRole, sts_backends

EXPIRED = "ExpiredToken"
"""The reason of a CreateAccessKeyFailure that moto does not know."""

_ROLE_ARN = re.compile(r"arn:aws:iam::(\d{12}):role/.+")


def find_role(arn: str) -> Role | None:
    """The role with this ARN, whichever account it is in; None if there is none."""
    match = _ROLE_ARN.fullmatch(arn)
    roles = list(iam_backends[match[1]]["aws"].roles.values()) if match else []
    return next((role for role in roles if role.arn == arn), None)


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
