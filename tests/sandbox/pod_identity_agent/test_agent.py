"""The agent between pods and EKS Auth, both by HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from sandbox.layout import CLUSTER_NAME
from sandbox.pod_identity_agent.agent import EksAuth, application
from tests.sandbox.account import ACCOUNT
from tests.sandbox.pod_identity_agent.eks_auth import StubEksAuth, granted, running_eks_auth, served, token

pytestmark = pytest.mark.asyncio

HOUR = 3600.0


@dataclass
class Clock:
    """The agent's."""

    ahead: float = 0
    """By how many seconds."""

    def now(self) -> float:
        return time.time() + self.ahead


@dataclass
class Agent:
    """A client of the agent, and what is behind it."""

    url: str
    eks_auth: StubEksAuth
    session: aiohttp.ClientSession

    async def answer(
        self, authorization: str | None, host: str = "169.254.170.23", path: str = "/v1/credentials"
    ) -> tuple[int, str]:
        headers = {"Host": host} | ({} if authorization is None else {"Authorization": authorization})
        async with self.session.get(self.url + path, headers=headers) as response:
            return response.status, (await response.text()).rstrip("\n")

    async def credentials(self, authorization: str) -> dict[str, str]:
        headers = {"Host": "169.254.170.23", "Authorization": authorization}
        async with self.session.get(f"{self.url}/v1/credentials", headers=headers) as response:
            assert (response.status, response.content_type) == (200, "application/json"), await response.text()
            return await response.json()


@pytest_asyncio.fixture
async def agent(clock: Clock) -> AsyncIterator[Agent]:
    async with (
        running_eks_auth() as eks_auth,
        served(application(EksAuth(eks_auth.url, ACCOUNT), clock.now)) as url,
        aiohttp.ClientSession() as session,
    ):
        yield Agent(url, eks_auth, session)


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_token_is_exchanged_for_credentials_in_the_form_that_sdks_read(agent: Agent) -> None:
    agent.eks_auth.answer = lambda _: granted("ASIA2", lasts=HOUR)
    mine = token()
    found = await agent.credentials(mine)
    expiration = datetime.fromisoformat(found.pop("Expiration"))
    assert found == {
        "AccessKeyId": "ASIA2",
        "SecretAccessKey": "secret",
        "Token": "session",
        "AccountId": "123456789012",
    }
    assert expiration.utcoffset() is not None
    assert 0 < expiration.timestamp() - time.time() <= HOUR
    assert agent.eks_auth.asked == [(CLUSTER_NAME, mine)]


async def test_a_token_is_exchanged_once_and_each_for_its_own(agent: Agent) -> None:
    def own(asked: str) -> dict[str, Any]:
        return granted("ASIA-" + ("first" if asked == first else "second"))

    agent.eks_auth.answer = own
    first, second = token("first"), token("second")
    found = await asyncio.gather(*(agent.credentials(one) for one in (first, second) * 5))
    assert [one["AccessKeyId"] for one in found] == ["ASIA-first", "ASIA-second"] * 5
    assert sorted(agent.eks_auth.asked) == sorted((CLUSTER_NAME, one) for one in (first, second))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "AccessDeniedException"),
        (400, "InvalidTokenException"),
        (400, "ExpiredTokenException"),
        (404, "ResourceNotFoundException"),
        (503, "ServiceUnavailableException"),
    ],
)
async def test_what_eks_auth_denies_is_told_with_its_status_and_asked_again(
    agent: Agent, status: int, code: str
) -> None:
    agent.eks_auth.answer = lambda _: (status, code)
    fault = "client" if status < 500 else "server"
    assert await agent.answer(token()) == (status, f"[request-1]: ({code}): told {code}, fault: {fault}")
    agent.eks_auth.answer = lambda _: granted()
    assert (await agent.answer(token()))[0] == 200


@pytest.mark.parametrize(
    ("authorization", "text"),
    [
        (None, "cannot be empty"),
        ("", "cannot be empty"),
        ("Basic eA==", "cannot be parsed"),
        ("a.b.c", "cannot be parsed"),
        (token(exp="soon"), "cannot be parsed"),
        (token(exp=1), "failed basic claim validations: token is expired"),
        (token(nbf=time.time() + 2 * HOUR), "failed basic claim validations: token is not valid yet"),
    ],
)
async def test_what_is_no_valid_token_is_refused_without_a_question(
    agent: Agent, authorization: str | None, text: str
) -> None:
    status, told = await agent.answer(authorization)
    assert status == 400
    assert text in told
    assert agent.eks_auth.asked == []


async def test_the_agent_is_called_by_its_address_only(agent: Agent) -> None:
    mine = token()
    for host in ("localhost", "agent.example.com:80", "169.254.170.2"):
        status, text = await agent.answer(mine, host)
        assert status == 403
        assert text.startswith("Access Denied. Called agent through invalid address")
    for host in ("169.254.170.23:80", "[fd00:ec2::23]", "[fd00:ec2::23]:80"):
        assert (await agent.answer(mine, host))[0] == 200
    assert (await agent.answer(mine, path="/v1/other"))[0] == 404


async def test_credentials_are_renewed_before_they_end(agent: Agent, clock: Clock) -> None:
    mine = token(exp=time.time() + 24 * HOUR)
    agent.eks_auth.answer = lambda _: granted("ASIA1", lasts=600)
    assert (await agent.credentials(mine))["AccessKeyId"] == "ASIA1"
    agent.eks_auth.answer = lambda _: granted("ASIA2", lasts=1200)
    clock.ahead = 500
    assert (await agent.credentials(mine))["AccessKeyId"] == "ASIA1"
    clock.ahead = 590
    assert (await agent.credentials(mine))["AccessKeyId"] == "ASIA2"


async def test_credentials_that_last_long_are_renewed_after_three_hours(agent: Agent, clock: Clock) -> None:
    mine = token(exp=time.time() + 24 * HOUR)
    agent.eks_auth.answer = lambda _: granted("ASIA1", lasts=12 * HOUR)
    await agent.credentials(mine)
    agent.eks_auth.answer = lambda _: granted("ASIA2", lasts=12 * HOUR)
    clock.ahead = 2.9 * HOUR
    assert (await agent.credentials(mine))["AccessKeyId"] == "ASIA1"
    clock.ahead = 3.1 * HOUR
    assert (await agent.credentials(mine))["AccessKeyId"] == "ASIA2"


async def test_credentials_outlast_trouble_at_eks_auth_but_no_denial(agent: Agent, clock: Clock) -> None:
    mine = token(exp=time.time() + 24 * HOUR)
    agent.eks_auth.answer = lambda _: granted("ASIA1", lasts=12 * HOUR)
    await agent.credentials(mine)
    agent.eks_auth.answer = lambda _: (500, "InternalServerException")
    clock.ahead = 3.1 * HOUR
    assert (await agent.credentials(mine))["AccessKeyId"] == "ASIA1"
    asked = len(agent.eks_auth.asked)
    assert (await agent.credentials(mine))["AccessKeyId"] == "ASIA1"
    assert len(agent.eks_auth.asked) == asked  # it is not asked again at once
    agent.eks_auth.answer = lambda _: (404, "ResourceNotFoundException")
    clock.ahead = 3.2 * HOUR
    assert (await agent.answer(mine))[0] == 404


async def test_credentials_that_end_at_once_are_not_given_out(agent: Agent) -> None:
    agent.eks_auth.answer = lambda _: granted(lasts=10)
    status, text = await agent.answer(token())
    assert status == 500
    assert text.startswith("EKS Auth's credentials end within 15 s, at ")


async def test_no_secret_is_in_the_log(agent: Agent, caplog: pytest.LogCaptureFixture) -> None:
    mine = token()
    agent.eks_auth.answer = lambda _: (400, "AccessDeniedException")
    await agent.answer(mine)
    assert "AccessDeniedException" in caplog.text
    assert mine not in caplog.text
