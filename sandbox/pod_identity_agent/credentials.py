"""Credentials of pods' roles from EKS Auth, kept as the agent keeps them.

https://github.com/aws/eks-pod-identity-agent, below internal/: cloud/eksauth/, credsretriever/refreshing_cache.go
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

RETENTION_SECONDS = 3 * 3600.0
"""After so long credentials are renewed, however long they last: `max-credential-retention-before-renewal`."""
RETRY_SECONDS = 60.0
"""Between two tries to renew what is still good: its `defaultRetryInterval`."""
SHORTEST_SECONDS = 15.0
"""Credentials that end sooner are not given out: its `defaultMinCredentialTtl`."""
IRRECOVERABLE = {"ResourceNotFoundException", "ExpiredTokenException", "InvalidTokenException", "AccessDeniedException"}
"""Errors of EKS Auth after which a token's credentials are forgotten: internal/cloud/eksauth/errors.go."""


@dataclass(frozen=True)
class Credentials:
    """Temporary credentials of a role."""

    key_id: str
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False)
    account_id: str
    expiration: datetime

    @classmethod
    def read(cls, answer: dict[str, Any]) -> Credentials:
        """Read an answer of AssumeRoleForPodIdentity."""
        given = answer["credentials"]
        return cls(
            key_id=given["accessKeyId"],
            secret_key=given["secretAccessKey"],
            session_token=given["sessionToken"],
            account_id=answer["assumedRoleUser"]["arn"].split(":")[4],
            expiration=given["expiration"],
        )

    def document(self) -> dict[str, str]:
        """Return what the agent answers: pkg/credentials/model.go."""
        return {
            "AccessKeyId": self.key_id,
            "SecretAccessKey": self.secret_key,
            "Token": self.session_token,
            "AccountId": self.account_id,
            "Expiration": self.expiration.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        }


@dataclass
class _Kept:
    credentials: Credentials
    renew_at: float
    """A time as of `CredentialCache`'s clock."""


class ShortLivedError(Exception):
    """EKS Auth has given credentials that end at once."""


class CredentialCache:
    """The credentials of each token, and one request at a time for it."""

    def __init__(
        self,
        assume: Callable[[str], dict[str, Any]],
        code_of: Callable[[Exception], str],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`assume` blocks, and returns EKS Auth's answer to a token or raises; `code_of` is the code of its errors.

        `now` is the clock, in seconds since the epoch.
        """
        self._assume = assume
        self._code_of = code_of
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._asking: dict[str, asyncio.Task[Credentials]] = {}

    async def get(self, token: str) -> Credentials:
        """Return credentials for `token`. Raises what EKS Auth answers, ShortLivedError.

        Those that are kept are renewed in time, and go on being given out while EKS Auth has trouble of its own.
        """
        kept = self._kept.get(token)
        if kept and self._is_good(kept.credentials) and self._now() < kept.renew_at:
            return kept.credentials
        if token not in self._asking:
            self._asking[token] = asyncio.create_task(self._renew(token))
            self._asking[token].add_done_callback(lambda _: self._asking.pop(token))
        return await asyncio.shield(self._asking[token])

    def _is_good(self, credentials: Credentials) -> bool:
        return credentials.expiration.timestamp() - self._now() > SHORTEST_SECONDS

    async def _renew(self, token: str) -> Credentials:
        kept = self._kept.get(token)
        try:
            found = Credentials.read(await asyncio.to_thread(self._assume, token))
        except Exception as error:
            if kept and self._is_good(kept.credentials) and self._code_of(error) not in IRRECOVERABLE:
                kept.renew_at = self._now() + RETRY_SECONDS
                return kept.credentials
            self._kept.pop(token, None)
            raise
        if not self._is_good(found):
            raise ShortLivedError(f"EKS Auth's credentials end within {SHORTEST_SECONDS:g} s, at {found.expiration}")
        # Tokens come and go with pods.
        self._kept = {other: one for other, one in self._kept.items() if self._is_good(one.credentials)}
        self._kept[token] = _Kept(found, self._now() + RETENTION_SECONDS)
        return found
