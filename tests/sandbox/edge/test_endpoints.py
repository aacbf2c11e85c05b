"""The edge's way from a NodePort to endpoints, as kube-proxy goes it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from sandbox.edge.endpoints import Endpoint, ServiceTable, follow
from sandbox.edge.routes import UnreachableError
from tests.sandbox.edge.world import loopback
from tests.waiting import PATIENCE_SECONDS

FIRST, SECOND = Endpoint("10.104.1.1", 5000), Endpoint("10.104.1.2", 5000)


def service(
    name: str = "kube-registry", port: str | None = "registry", node_port: int | None = 31080
) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "kube-system", "name": name, "resourceVersion": "5"},
        "spec": {"ports": [{"name": "other", "port": 81, "nodePort": 31081}, {"name": port, "nodePort": node_port}]},
    }


def endpoint(address: str, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "conditions": conditions}


def endpoint_slice(
    *endpoints: dict[str, Any], name: str = "s1", of: str = "kube-registry", port: str | None = "registry"
) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "kube-system", "name": name, "labels": {"kubernetes.io/service-name": of}},
        "ports": [{"name": "other", "port": 81}, {"name": port, "port": 5000}],
        "endpoints": list(endpoints),
    }


def table_of(services: list[dict[str, Any]], slices: list[dict[str, Any]]) -> ServiceTable:
    table = ServiceTable()
    table.services.replace(services)
    table.slices.replace(slices)
    return table


def test_ready_endpoints_take_turns() -> None:
    both = endpoint_slice(endpoint("10.104.1.2", ready=True), endpoint("10.104.1.1", ready=True))
    table = table_of([service()], [both])
    turns = [table.behind(31080) for _ in range(4)]
    assert turns == [[FIRST, SECOND], [SECOND, FIRST], [FIRST, SECOND], [SECOND, FIRST]]


def test_endpoints_of_all_slices_of_the_service_and_of_no_other_are_taken() -> None:
    slices = [
        endpoint_slice(endpoint("10.104.1.1"), name="s1"),
        endpoint_slice(endpoint("10.104.1.2"), name="s2"),
        endpoint_slice(endpoint("10.104.1.3"), name="s3", of="another"),
    ]
    assert table_of([service()], slices).behind(31080) == [FIRST, SECOND]


def test_an_unnamed_port_is_matched_by_having_no_name() -> None:
    table = table_of([service(port=None)], [endpoint_slice(endpoint("10.104.1.1"), port="")])
    assert table.behind(31080) == [FIRST]


def test_an_endpoint_that_is_not_ready_gets_nothing() -> None:
    slices = [endpoint_slice(endpoint("10.104.1.1", ready=True), endpoint("10.104.1.2", ready=False))]
    assert table_of([service()], slices).behind(31080) == [FIRST]


def test_endpoints_that_serve_while_they_terminate_are_the_last_resort() -> None:
    leaving = endpoint("10.104.1.2", ready=False, serving=True, terminating=True)
    failing = endpoint("10.104.1.3", ready=False, serving=False, terminating=True)
    table = table_of([service()], [endpoint_slice(endpoint("10.104.1.1", ready=True), leaving, failing)])
    assert table.behind(31080) == [FIRST]
    table.slices.change("MODIFIED", endpoint_slice(leaving, failing))
    assert table.behind(31080) == [SECOND]


def test_changes_are_followed() -> None:
    table = table_of([], [])
    table.services.change("ADDED", service())
    table.slices.change("ADDED", endpoint_slice(endpoint("10.104.1.1")))
    assert table.behind(31080) == [FIRST]
    table.slices.change("DELETED", endpoint_slice())
    with pytest.raises(UnreachableError, match="kube-system/kube-registry has no ready endpoint"):
        table.behind(31080)
    table.services.change("DELETED", service())
    with pytest.raises(UnreachableError, match="no Service has the NodePort 31080"):
        table.behind(31080)


def test_before_kubernetes_was_heard_from_that_is_the_answer() -> None:
    with pytest.raises(UnreachableError, match="has not heard from Kubernetes"):
        ServiceTable().behind(31080)


class ApiServer:
    """Lists and watches Services and EndpointSlices, and can break off its watches."""

    def __init__(self) -> None:
        self.items: dict[str, list[dict[str, Any]]] = {"services": [service()], "endpointslices": []}
        self.lists = 0
        self.watches: dict[str, web.StreamResponse] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        kind = request.path.rpartition("/")[2]
        if "watch" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            self.watches[kind] = response
            await asyncio.Event().wait()
        self.lists += 1
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": self.items[kind]})

    async def tell(self, kind: str, change: str, resource: dict[str, Any]) -> None:
        await self.watches[kind].write(json.dumps({"type": change, "object": resource}).encode() + b"\n")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def kubeconfig(directory: Path, url: str) -> Path:
    path = directory / "kubeconfig"
    context = {"cluster": "c", "user": "u"}
    content = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": context}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(content))
    return path


async def serving(api: ApiServer, port: int = 0) -> tuple[web.AppRunner, int]:
    app = web.Application()
    app.router.add_get("/{path:.*}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, loopback(0, 9), port, reuse_address=True).start()
    return runner, runner.addresses[0][1]


def found(table: ServiceTable) -> list[Endpoint]:
    try:
        return sorted(table.behind(31080))
    except UnreachableError:
        return []


@pytest.mark.asyncio
async def test_the_table_follows_the_api_server_through_its_restarts(tmp_path: Path) -> None:
    api, table = ApiServer(), ServiceTable()
    runner, port = await serving(api)
    task = asyncio.create_task(follow(table, kubeconfig(tmp_path, f"http://{loopback(0, 9)}:{port}")))
    await until(lambda: len(api.watches) == 2)
    await api.tell("endpointslices", "ADDED", endpoint_slice() | {"endpoints": None})
    await api.tell("endpointslices", "MODIFIED", endpoint_slice(endpoint("10.104.1.1")))
    await until(lambda: found(table) == [FIRST])

    await runner.cleanup()
    assert found(table) == [FIRST]  # what was known stays while the API server is away

    api = ApiServer()
    api.items["endpointslices"] = [endpoint_slice(endpoint("10.104.1.1"), endpoint("10.104.1.2"))]
    runner, _ = await serving(api, port)
    await until(lambda: found(table) == [FIRST, SECOND])
    await until(lambda: len(api.watches) == 2)
    await api.tell("endpointslices", "DELETED", endpoint_slice())
    await until(lambda: found(table) == [])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await runner.cleanup()
