from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from typing import Any, cast

import pytest
from aiohttp import web

from sandbox.node import probes
from sandbox.node.pod_network import PodNetwork
from sandbox.node.probes import ProbeFailedError, Target, check, port_number, watch
from tests import networks
from tests.sandbox.node.pods import api_object, pod
from tests.waiting import PATIENCE_SECONDS

HOST = f"127.{networks.PODS}.0.2"


class HostNetwork:
    """A pod's network that is the host's."""

    async def socket(self) -> socket.socket:
        inside = socket.socket()
        inside.setblocking(False)
        return inside


def target(port: int) -> Target:
    spec = pod({"ports": [{"name": "web", "containerPort": port}]}).spec.containers[0]
    return Target(spec, cast(Any, None), cast(PodNetwork, HostNetwork()), HOST)


def probe(**fields: Any) -> Any:
    """A probe that, unless it says otherwise, has more time than the default of a second."""
    return api_object({"timeoutSeconds": int(PATIENCE_SECONDS)} | fields, "V1Probe")


def in_time(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await coroutine

    return asyncio.run(limited())


async def serve(status: int, seen: list[web.Request], delay: float = 0) -> tuple[web.AppRunner, int]:
    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        await asyncio.sleep(delay)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    return runner, runner.addresses[0][1]


def answered(status: int, delay: float = 0, **fields: Any) -> list[web.Request]:
    """Check a server that answers with `status`; return the requests that it saw."""

    async def run() -> list[web.Request]:
        seen: list[web.Request] = []
        runner, port = await serve(status, seen, delay)
        try:
            await check(probe(**fields), target(port))
        finally:
            await runner.cleanup()
        return seen

    return in_time(run())


@pytest.mark.parametrize("status", [200, 204, 302, 399])
def test_http_statuses_below_400_pass(status: int) -> None:
    assert len(answered(status, httpGet={"path": "/", "port": "web"})) == 1


@pytest.mark.parametrize("status", [400, 404, 503])
def test_other_http_statuses_fail_and_are_named(status: int) -> None:
    with pytest.raises(ProbeFailedError, match=f"HTTP probe failed with statuscode: {status}"):
        answered(status, httpGet={"path": "/", "port": "web"})


def test_the_request_is_the_kubelets_with_path_and_headers_as_given() -> None:
    headers = [{"name": "X-Probe", "value": "1"}, {"name": "Host", "value": "registry.example.test"}]
    (request,) = answered(200, httpGet={"path": "/v2/?n=%2F", "port": "web", "httpHeaders": headers})
    assert request.raw_path == "/v2/?n=%2F"
    assert (request.headers["X-Probe"], request.headers["Host"]) == ("1", "registry.example.test")
    assert request.headers["User-Agent"].startswith("kube-probe/")


def test_an_answer_that_comes_too_late_fails() -> None:
    with pytest.raises(ProbeFailedError, match=r"deadline exceeded \(1 s\)"):
        answered(200, 5, httpGet={"path": "/", "port": "web"}, timeoutSeconds=1)


def test_a_tcp_check_passes_where_something_listens_and_fails_elsewhere() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        in_time(check(probe(tcpSocket={"port": "web"}), target(port)))
    with pytest.raises(ProbeFailedError, match=str(port)):
        in_time(check(probe(tcpSocket={"port": "web"}), target(port)))


def test_a_port_is_known_by_number_or_name() -> None:
    spec = target(5000).spec
    assert (port_number(spec, "web"), port_number(spec, 81), port_number(spec, "82")) == (5000, 81, 82)
    with pytest.raises(ProbeFailedError, match="couldn't find port: other in container registry"):
        port_number(spec, "other")


def changes(
    monkeypatch: pytest.MonkeyPatch, results: str, passing: bool | None, **fields: Any
) -> tuple[list[tuple[int, bool]], int]:
    """Watch checks that pass (`+`) or fail (`-`) in turn; return (number of check, result) of changes, and failures."""
    seen: list[tuple[int, bool]] = []
    made = 0
    failures = 0

    async def checked(*_: Any) -> None:
        nonlocal made
        if made == len(results):
            raise asyncio.CancelledError
        made += 1
        if results[made - 1] == "-":
            raise ProbeFailedError("no")

    async def failed(_: str) -> None:
        nonlocal failures
        failures += 1

    sleep = asyncio.sleep
    monkeypatch.setattr(probes, "check", checked)
    monkeypatch.setattr(probes.asyncio, "sleep", lambda _: sleep(0))

    async def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await watch(
                probe(**fields),
                target(1),
                passing=passing,
                changed=lambda result: seen.append((made, result)),
                failed=failed,
            )

    in_time(run())
    return seen, failures


def test_readiness_comes_with_the_first_success_and_goes_with_the_third_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert changes(monkeypatch, "-+++--+---+", passing=False) == ([(2, True), (10, False), (11, True)], 6)


def test_thresholds_count_results_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = changes(monkeypatch, "+-++-+--", passing=False, successThreshold=2, failureThreshold=2)
    assert found == [(4, True), (8, False)]


def test_liveness_passes_until_it_has_failed_often_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert changes(monkeypatch, "--+--", passing=True)[0] == []
    assert changes(monkeypatch, "+---", passing=True)[0] == [(4, False)]


def test_a_startup_probe_tells_success_as_well_as_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert changes(monkeypatch, "--+", passing=None, failureThreshold=5)[0] == [(3, True)]
    assert changes(monkeypatch, "--", passing=None, failureThreshold=2)[0] == [(2, False)]
