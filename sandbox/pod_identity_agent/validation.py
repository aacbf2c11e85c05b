"""What the agent takes for a request: https://github.com/aws/eks-pod-identity-agent, internal/validation/request.go."""

from __future__ import annotations

import base64
import json
import time

HOSTS = ("169.254.170.23", "fd00:ec2::23")
"""By which the agent may be called: configuration/config.go there."""
TOKEN_PARTS = 3


class RefusedError(Exception):
    """A request that the agent answers itself, with the HTTP `status` and this text."""

    def __init__(self, status: int, message: str) -> None:
        """As said above."""
        super().__init__(message)
        self.status = status


def check_host(header: str) -> None:
    """Raise RefusedError unless the `Host` header says the agent's address: so no other name leads to it."""
    address = header[1:].partition("]")[0] if header.startswith("[") else header.partition(":")[0]
    if address not in HOSTS:
        message = f"Access Denied. Called agent through invalid address, please use either {' or '.join(HOSTS)}"
        raise RefusedError(403, f"{message} address not {address}")


def check_token(token: str) -> None:
    """Raise RefusedError unless `token` looks like one that is valid now. EKS Auth checks whether it is."""
    if not token:
        raise RefusedError(400, "Service account token cannot be empty")
    try:
        begins, ends = _validity(token)
    except ValueError as error:
        raise RefusedError(400, f"Service account token cannot be parsed: {error}") from None
    failed = "Service account token failed basic claim validations: token is "
    if time.time() >= ends:
        raise RefusedError(400, f"{failed}expired")
    if time.time() < begins:
        raise RefusedError(400, f"{failed}not valid yet")


def _validity(token: str) -> tuple[float, float]:
    """From when to when a JSON Web Token says that it is valid; it is not verified. Raises ValueError."""
    parts = token.split(".")
    if len(parts) != TOKEN_PARTS:
        raise ValueError(f"it has {len(parts)} parts, not {TOKEN_PARTS}")
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in parts[:2])
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise ValueError("its parts are no objects")
    begins, ends = claims.get("nbf", 0), claims.get("exp", float("inf"))
    if not all(isinstance(one, int | float) for one in (begins, ends)):
        raise ValueError("its times are no numbers")
    return begins, ends
