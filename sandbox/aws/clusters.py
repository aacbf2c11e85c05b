"""The EKS clusters whose control planes run, and the tokens of their ServiceAccounts, checked by the cluster's key."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

ALGORITHM = "RS256"
"""What the API server signs by with an RSA key."""


class TokenError(Exception):
    """A token that its issuer does not stand for."""


class UnknownIssuerError(TokenError):
    """The issuer has no key that the token is signed by."""


class ExpiredError(TokenError):
    """The token is no longer valid."""


@dataclass(frozen=True)
class ControlPlane:
    """What EKS knows of a cluster beyond what CreateCluster was asked for."""

    issuer: str
    """The URL of the cluster's OIDC issuer."""
    public_key: Path
    """The file of the key, in PEM, by which tokens of its ServiceAccounts are checked."""
    endpoint: str = ""
    """The API server's URL."""
    certificate_authority: Path | None = None
    """The file of the certificate, in PEM, that the API server's is signed by."""
    version: str = ""
    """Kubernetes' release, `1.34`."""


control_planes: dict[str, ControlPlane] = {}
"""By the cluster's name. A cluster without one has an issuer too, but nobody can make tokens of it."""


@dataclass(frozen=True)
class ServiceAccountToken:
    """A valid token of a ServiceAccount, as the kubelet projects it into pods."""

    issuer: str
    subject: str
    """`system:serviceaccount:NAMESPACE:NAME`."""
    audiences: tuple[str, ...]
    namespace: str
    service_account: str
    pod: str
    pod_uid: str


def issuer_of(token: str) -> str:
    """Return the issuer that `token` claims to be of, unchecked. Raises TokenError if it is no JWT."""
    return str(_claims(token).get("iss", ""))


def check_token(token: str) -> ServiceAccountToken:
    """Return what `token` says if it is signed by the key of its issuer and still valid.

    Raises TokenError; of its kinds UnknownIssuerError, and ExpiredError with STS's words.
    """
    issuer = issuer_of(token)
    known = [one for one in control_planes.values() if one.issuer == issuer and one.public_key.exists()]
    for control_plane in known:
        try:
            claims = jwt.decode(token, RSAKey.import_key(control_plane.public_key.read_bytes()), [ALGORITHM]).claims
        except JoseError:
            continue
        try:
            return _checked(claims)
        except (KeyError, TypeError, ValueError) as error:
            raise TokenError("The token is not one of a ServiceAccount.") from error
    raise UnknownIssuerError("The token is not signed by a key of its issuer.")


def _checked(claims: Mapping[str, Any]) -> ServiceAccountToken:
    now, ends = int(time.time()), int(claims["exp"])
    if now >= ends:
        message = f"Token expired: current date/time {now} must be before the expiration date/time {ends}"
        raise ExpiredError(message)
    audiences = claims.get("aud", [])
    about = claims["kubernetes.io"]
    pod = about.get("pod", {})
    return ServiceAccountToken(
        issuer=claims["iss"],
        subject=claims["sub"],
        audiences=tuple([audiences] if isinstance(audiences, str) else audiences),
        namespace=about["namespace"],
        service_account=about["serviceaccount"]["name"],
        pod=pod.get("name", ""),
        pod_uid=pod.get("uid", ""),
    )


def _claims(token: str) -> Mapping[str, Any]:
    try:
        claims = json.loads(jws.extract_compact(token.encode()).payload)
    except (JoseError, ValueError) as error:
        raise TokenError("The token is no JSON Web Token.") from error
    if not isinstance(claims, dict):
        raise TokenError("The token is no JSON Web Token.")
    return claims
