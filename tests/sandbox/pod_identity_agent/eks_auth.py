"""EKS Auth as the agent sees it: an HTTP server that answers in the form of its API, as it is told."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

ROLE = "arn:aws:sts::123456789012:assumed-role/registry/eks-sandbox-registry-0f"


def token(name: str = "registry", **claims: Any) -> str:
    """A JSON Web Token that is valid for an hour, with a signature that nobody checks here."""
    told = {"sub": f"system:serviceaccount:kube-system:{name}", "exp": time.time() + 3600} | claims
    parts = (base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in ({"alg": "x"}, told))
    return ".".join([*parts, "signature"])


def granted(key_id: str = "ASIA1", *, lasts: float = 6 * 3600, **given: str) -> dict[str, Any]:
    """An answer with credentials that last for so many seconds."""
    credentials = {"accessKeyId": key_id, "secretAccessKey": "secret", "sessionToken": "session"} | given
    return {
        "subject": {"namespace": "kube-system", "serviceAccount": "registry"},
        "audience": "pods.eks.amazonaws.com",
        "podIdentityAssociation": {"associationArn": "arn:aws:eks:a", "associationId": "a-1"},
        "assumedRoleUser": {"arn": ROLE, "assumeRoleId": "AROA1:eks-sandbox-registry-0f"},
        "credentials": credentials | {"expiration": time.time() + lasts},
    }


class StubEksAuth:
    """Answers each request with what `answer` returns to the token: credentials, or an error's status and code."""

    def __init__(self) -> None:
        self.answer: Callable[[str], dict[str, Any] | tuple[int, str]] = lambda _: granted()
        self.asked: list[tuple[str, str]] = []
        """Cluster and token of each request."""
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        assert "eks-auth/aws4_request" in request.headers["Authorization"]
        asked = (await request.json())["token"]
        self.asked.append((request.match_info["cluster"], asked))
        answer = self.answer(asked)
        if isinstance(answer, dict):
            return web.json_response(answer)
        status, code = answer
        headers = {"x-amzn-ErrorType": code, "x-amzn-RequestId": "request-1"}
        return web.json_response({"message": f"told {code}"}, status=status, headers=headers)


@asynccontextmanager
async def running_eks_auth() -> AsyncIterator[StubEksAuth]:
    stub = StubEksAuth()
    app = web.Application()
    app.router.add_post("/clusters/{cluster}/assume-role-for-pod-identity", stub.handle)
    async with served(app) as stub.url:
        yield stub


@asynccontextmanager
async def served(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve `app`, and return its URL."""
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{runner.addresses[0][0]}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
