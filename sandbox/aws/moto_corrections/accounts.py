"""The accounts of an organization, and the sessions by which one account works in another."""

from __future__ import annotations

import json
import re
from typing import Any

from moto.iam.models import iam_backends
from moto.organizations.models import OrganizationsBackend
from moto.sts.exceptions import STSValidationError
from moto.sts.responses import TokenResponse

from sandbox.aws.moto_corrections.replacing import instead_of
from sandbox.aws.role_sessions import find_role
from sandbox.layout import MEMBER_ADMINISTRATOR

_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_SHORTEST_SESSION = 15 * 60
_LONGEST_CHAINED_SESSION = _DEFAULT_SESSION = 60 * 60
"""Seconds. https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, `DurationSeconds`"""
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_UNKNOWN = (
    "PolicyArns",
    "Tags",
    "TransitiveTagKeys",
    "SerialNumber",
    "TokenCode",
    "SourceIdentity",
    "ProvidedContexts",
    "ProviderId",
)
"""What moto ignores in AssumeRole and its like, and would widen or narrow the session's rights."""


def give_new_accounts_an_administrator() -> None:
    """moto's role for the administrators of an organization in a new account has no rights; AWS's may do everything.

    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_access-cross-account-role.html
    """

    @instead_of(OrganizationsBackend, "create_account")
    def _(original: Any, self: OrganizationsBackend, **named: Any) -> dict[str, Any]:
        made = original(self, **named)
        iam = iam_backends[made["CreateAccountStatus"]["AccountId"]]["aws"]
        iam.put_role_policy(
            named.get("RoleName") or MEMBER_ADMINISTRATOR, "AdministratorAccess", json.dumps(_EVERYTHING)
        )
        return made


def refuse_sessions_that_sts_would_refuse() -> None:
    """moto takes any name and duration for a session, and ignores what else is asked for it."""

    @instead_of(TokenResponse, "assume_role")
    def _(original: Any, self: TokenResponse) -> Any:
        check_session_request(self)
        if self._get_int_param("DurationSeconds", 0) > _LONGEST_CHAINED_SESSION and self.get_access_key().startswith(
            "ASIA"
        ):
            raise STSValidationError(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
            )
        return original(self)


def check_session_request(request: TokenResponse) -> int:
    """Return how many seconds the session is to last that `request` asks for.

    Raises STSValidationError if its name or duration is not allowed, or if it asks for what is not known.
    """
    role = find_role(request._get_param("RoleArn") or "")
    longest = int((role and role.max_session_duration) or _DEFAULT_SESSION)
    seconds = request._get_int_param("DurationSeconds", _DEFAULT_SESSION)
    if not _SESSION_NAME.fullmatch(name := request._get_param("RoleSessionName") or ""):
        raise STSValidationError(
            f"1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: [\w+=,.@-]*, and have 2 to 64 characters"
        )
    if seconds < _SHORTEST_SESSION:
        raise STSValidationError(
            f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: "
            f"Member must have value greater than or equal to {_SHORTEST_SESSION}"
        )
    if seconds > longest:
        raise STSValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    if unknown := [name for name in _UNKNOWN if request._get_param(name)]:
        parameters = f"{request._get_action()}'s {', '.join(unknown)}"
        raise STSValidationError(f"The sandbox does not know {parameters}: leave it out.")
    return seconds
