"""Roles assumed by web identity: the tokens of ServiceAccounts, of which IAM knows the cluster's issuer."""

from __future__ import annotations

from typing import Any

from flask import request as current_request
from moto.core.responses import ActionResult
from moto.iam.models import OpenIDConnectProvider, iam_backends
from moto.sts.exceptions import STSClientError, STSValidationError
from moto.sts.responses import TokenResponse

from sandbox.aws.clusters import ExpiredError, TokenError, UnknownIssuerError, check_token, issuer_of
from sandbox.aws.iam_policy import Access
from sandbox.aws.moto_corrections.accounts import check_session_request
from sandbox.aws.moto_corrections.replacing import instead_of
from sandbox.aws.moto_corrections.requests import forbidden
from sandbox.aws.role_sessions import account_of, begin_session, find_role, trusts

ACTION = "AssumeRoleWithWebIdentity"

_NO_TOKEN = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"  # noqa: S105
_NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)


def check_web_identities() -> None:
    """moto lets anybody assume any role by any token.

    STS asks for no signature of the caller, but for a token by an issuer that the role's account has a provider for,
    with an audience among the provider's client ids, and then for the role's trust.
    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
    """

    @instead_of(TokenResponse, "_authenticate_and_authorize_normal_action")
    def _(original: Any, self: TokenResponse, resource: str = "*") -> None:
        if self._get_action() != ACTION:
            original(self, resource)

    @instead_of(TokenResponse, "assume_role_with_web_identity")
    def _(_original: Any, self: TokenResponse) -> ActionResult:
        seconds = check_session_request(self)
        arn, token = self._get_param("RoleArn") or "", self._get_param("WebIdentityToken") or ""
        try:
            provider = _provider(arn, issuer_of(token))
            identity = check_token(token)
        except UnknownIssuerError:
            raise STSClientError("InvalidIdentityToken", _NO_KEY) from None
        except ExpiredError as expired:
            raise STSClientError("ExpiredTokenException", str(expired)) from None
        except TokenError:
            raise STSClientError("InvalidIdentityToken", _NO_TOKEN) from None
        audience = next((one for one in identity.audiences if one in provider.client_id_list), None)
        if not audience:
            raise STSClientError("InvalidIdentityToken", "Incorrect token audience")
        context = {
            "aws:securetransport": "true" if current_request.is_secure else "false",
            f"{provider.url.lower()}:aud": audience,
            f"{provider.url.lower()}:sub": identity.subject,
        }
        principals = frozenset({provider.arn})
        access = Access(f"sts:{ACTION}", arn, principals, provider.account_id, context, "Federated")
        role = find_role(arn)
        if not role or not trusts(role, access):
            raise forbidden("AccessDenied", f"Not authorized to perform sts:{ACTION}")
        name, policy = self._get_param("RoleSessionName"), self._get_param("Policy")
        session = begin_session(role, name, seconds, self.region, policy)
        return ActionResult(
            {
                "Credentials": session,
                "SubjectFromWebIdentityToken": identity.subject,
                "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
                "Provider": provider.arn,
                "Audience": audience,
            }
        )


def _provider(role_arn: str, issuer: str) -> OpenIDConnectProvider:
    """The provider for `issuer` in the role's account. Raises STSClientError if there is none, or no account."""
    account = account_of(role_arn)
    if not account:
        raise STSValidationError("Request ARN is invalid")
    for provider in list(iam_backends[account]["aws"].open_id_providers.values()):
        if f"https://{provider.url}" == issuer:
            return provider
    raise STSClientError("InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {issuer}")
