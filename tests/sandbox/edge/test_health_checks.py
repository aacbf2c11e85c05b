"""The checks that the edge makes of targets, and what it tells of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from sandbox.edge.endpoints import Endpoint
from sandbox.edge.health_checks import Monitor, check
from sandbox.edge.target_groups import HealthCheck, TargetGroup, TargetId
from sandbox.edge.target_health import Failure, Targets
from tests.sandbox.edge.world import GROUP, LAYOUT, World, report
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio

FAILED = Failure("Target.FailedHealthChecks", "Health checks failed")
TCP, HTTP = HealthCheck("TCP"), HealthCheck("HTTP", path="/healthz", status_codes="200-399")
INSTANCE = TargetId("i-0123456789abcdef0", 31080)


def target_of(endpoint: Endpoint) -> TargetId:
    return TargetId(endpoint.address, endpoint.port)


async def unavailable(_: web.Request) -> web.Response:
    return web.Response(status=503)


async def outcome(world: World, target: TargetId, how: HealthCheck) -> Failure | None:
    return await check(target, how, world, LAYOUT)


async def test_a_pod_that_takes_connections_passes_a_tcp_check(world: World) -> None:
    assert await outcome(world, target_of(await world.add_pod(unavailable)), TCP) is None
    assert await outcome(world, target_of(world.add_dead_pod()), TCP) == FAILED


async def test_an_http_check_asks_for_its_path_and_looks_at_the_status(world: World) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    target = target_of(await world.add_pod(answer))
    assert await outcome(world, target, HTTP) is None
    strict = replace(HTTP, status_codes="200")
    expected = Failure("Target.ResponseCodeMismatch", "Health checks failed with these codes: [302]")
    assert await outcome(world, target, strict) == expected
    assert asked == ["/healthz", "/healthz"]


async def test_a_pod_that_does_not_answer_in_time_has_timed_out(world: World) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(PATIENCE_SECONDS)
        return web.Response()

    target = target_of(await world.add_pod(hang))
    expected = Failure("Target.Timeout", "Request timed out")
    assert await outcome(world, target, replace(HTTP, timeout_seconds=0.05)) == expected


async def test_an_instance_is_checked_by_a_pod_behind_its_node_port(world: World) -> None:
    assert await outcome(world, INSTANCE, TCP) == FAILED  # no ready endpoint
    await world.add_pod(report)
    assert await outcome(world, INSTANCE, TCP) is None


@pytest.mark.parametrize("protocol", ["TCP", "HTTP"])
async def test_an_instances_check_comes_from_the_node_and_a_pods_from_the_balancer(world: World, protocol: str) -> None:
    sources: list[str] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sources.append(writer.get_extra_info("peername")[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    await world.add_raw_pod(note)
    for target in (INSTANCE, target_of(world.pods[0])):
        assert await outcome(world, target, HealthCheck(protocol)) is None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(sources) < 2:
            await asyncio.sleep(0.01)
    assert sources == [LAYOUT.node_address, LAYOUT.load_balancer_address]


async def test_a_check_may_have_a_port_of_its_own(world: World) -> None:
    pod = await world.add_pod(report)
    assert await outcome(world, TargetId(pod.address, 1), replace(HTTP, port=str(pod.port))) is None


async def test_an_address_outside_of_the_pods_network_fails(world: World) -> None:
    pod = await world.add_pod(report)
    assert await outcome(world, TargetId("192.0.2.1", pod.port), TCP) == FAILED


async def told(expected: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """The states that the monitor has written, as soon as they are as expected."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if LAYOUT.target_health_file.exists():
                found = json.loads(LAYOUT.target_health_file.read_text()).get(GROUP, {})
                if expected(states := {id: state for id, (state, _, _) in found.items()}):
                    return states
            await asyncio.sleep(0.01)


async def test_the_monitor_checks_what_is_registered_and_tells_how_it_is(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sandbox.edge.health_checks.POLL_SECONDS", 0.01)
    LAYOUT.directory.mkdir(parents=True)
    how = HealthCheck(interval_seconds=0.01, healthy_threshold=2, unhealthy_threshold=2)
    good, bad = target_of(await world.add_pod(report)), target_of(world.add_dead_pod())
    group = TargetGroup(GROUP, "registry", how, {good: "initial", bad: "initial"})
    groups = [group]
    targets = Targets(registration_delay=0.1)
    begun = asyncio.get_running_loop().time()
    running = asyncio.create_task(Monitor(LAYOUT, targets, lambda: groups, world).run())
    try:
        assert set((await told(lambda states: len(states) == 2)).values()) == {"initial"}
        states = await told(lambda states: "initial" not in states.values())
        assert states == {str(good): "healthy", str(bad): "unhealthy"}
        assert asyncio.get_running_loop().time() - begun >= targets.registration_delay
        assert targets.choose(GROUP, 0).id == good
        groups[:] = [replace(group, targets={good: "draining", bad: "unhealthy"})]
        assert await told(lambda states: len(states) == 1) == {str(bad): "unhealthy"}
    finally:
        running.cancel()
