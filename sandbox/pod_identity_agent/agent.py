"""The agent's HTTP: a pod's token in, credentials of its role out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.layout import CLUSTER_NAME, REGION, Account
from sandbox.pod_identity_agent.credentials import CredentialCache, ShortLivedError
from sandbox.pod_identity_agent.validation import RefusedError, check_host, check_token

PATH = "/v1/credentials"
READ_SECONDS = 60
"""How long EKS Auth may take, on a busy machine; the real agent gives it one second."""
TRIES = 3
"""As the SDK of the real agent: aws-sdk-go-v2, aws/retry, `DefaultMaxAttempts`."""

log = logging.getLogger(__name__)


class EksAuth:
    """EKS Auth, asked with the node's rights."""

    def __init__(self, url: str, account: Account, authority: Path | None = None) -> None:
        """Ask the emulated AWS at `url` with the key of `account`; `authority` is what to trust, by HTTPS.

        A node has a role of its own for it; the sandbox's account has its administrator only.
        """
        session = boto3.Session(account.access_key_id, account.secret_access_key, region_name=REGION)
        retries: Any = {"mode": "standard", "total_max_attempts": TRIES}
        config = Config(proxies={}, read_timeout=READ_SECONDS, retries=retries)
        verify = authority and str(authority)
        self._client: Any = session.client("eks-auth", endpoint_url=url, verify=verify, config=config)

    def assume(self, token: str) -> dict[str, Any]:
        """Return the answer of AssumeRoleForPodIdentity to `token`. Raises ClientError, BotoCoreError."""
        return self._client.assume_role_for_pod_identity(clusterName=CLUSTER_NAME, token=token)


def code_of(error: Exception) -> str:
    """Return the code of an error of AWS, empty for another."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else ""


def application(eks_auth: EksAuth, now: Callable[[], float] = time.time) -> web.Application:
    """Make the agent, with `now` as the clock by which it renews; other paths than `PATH` are not found."""
    cache = CredentialCache(eks_auth.assume, code_of, now)

    async def handle(request: web.Request) -> web.Response:
        try:
            check_host(request.headers.get("Host", ""))
            token = request.headers.get("Authorization", "")
            check_token(token)
            return web.json_response((await cache.get(token)).document())
        except RefusedError as refused:
            status, text = refused.status, str(refused)
        except ClientError as error:
            # As pkg/errors/errors.go: EKS Auth's own status, and what it says.
            answer = error.response["ResponseMetadata"]
            status, fault = answer["HTTPStatusCode"], "client" if answer["HTTPStatusCode"] < 500 else "server"  # noqa: PLR2004
            message = error.response["Error"].get("Message", "")
            text = f"[{answer.get('RequestId', '')}]: ({code_of(error)}): {message}, fault: {fault}"
        except (BotoCoreError, ShortLivedError) as error:
            status, text = 500, str(error)
        log.error("no credentials: %s %s", status, text)
        return web.Response(status=status, text=f"{text}\n")

    app = web.Application()
    app.router.add_route("*", PATH, handle)
    return app
