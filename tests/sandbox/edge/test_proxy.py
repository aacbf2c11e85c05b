"""The edge as its clients and the pods see it: requests, responses, refusals and its log."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from sandbox.authority import Authority
from sandbox.edge.endpoints import Endpoint
from sandbox.layout import Account
from tests.sandbox.edge.world import (
    HOST,
    HTTPS,
    LAYOUT,
    World,
    loopback,
    refusal,
    report,
    reported,
)
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio


async def test_requests_take_turns_between_the_endpoints_also_on_one_connection(world: World) -> None:
    world.route()
    await world.add_pod(report)
    await world.add_pod(report)
    async with world.session() as session:
        pods = []
        for _ in range(4):
            async with session.get(f"http://{HOST}/v2/") as response:
                pods.append((await response.json())["pod"])
        assert session.connector is not None
    assert pods == [loopback(1, 1), loopback(1, 2)] * 2


async def test_method_target_and_headers_arrive_as_they_were_sent(world: World) -> None:
    world.route()
    await world.add_pod(report)
    request = (
        f"PUT http://{HOST}/v2/a%2Fb//c?digest=sha256%3Aab&x=%20&empty=? HTTP/1.1\r\n"
        f"Host: {HOST}\r\nX-Multi: 1\r\nx-multi: 2\r\nAccept-Encoding: zstd\r\nContent-Length: 3\r\n"
        "Connection: close\r\n\r\nabc"
    )
    text = (await world.answer(request.encode())).partition(b"\r\n\r\n")[2].decode()
    assert '"method": "PUT"' in text
    assert '"target": "/v2/a%2Fb//c?digest=sha256%3Aab&x=%20&empty=?"' in text
    assert '"X-Multi": ["1", "2"]' in text
    assert '"Accept-Encoding": ["zstd"]' in text
    assert '"Content-Length": ["3"]' in text


async def test_headers_for_the_proxy_alone_are_not_passed_on(world: World) -> None:
    world.route()
    await world.add_pod(report)
    hop_by_hop = {
        "Proxy-Authorization": "Basic x",
        "Connection": "X-Mine",
        "X-Mine": "1",
        "TE": "trailers",
        "Keep-Alive": "5",
    }
    headers = (await reported(world, headers={**hop_by_hop, "Authorization": "Basic y"}))["headers"]
    assert headers["Authorization"] == ["Basic y"]
    assert not {name.title() for name in hop_by_hop} & set(headers)


async def test_responses_are_passed_on_untouched(world: World) -> None:
    async def handler(_: web.Request) -> web.Response:
        response = web.Response(status=307, reason="Elsewhere", body=gzip.compress(b"moved"))
        response.headers["Location"] = "http://s3.test/b?X-Amz-Signature=a%2Fb"
        response.headers["Content-Encoding"] = "gzip"
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2")
        return response

    world.route()
    await world.add_pod(handler)
    async with world.session() as session, session.get(f"http://{HOST}/", allow_redirects=False) as response:
        assert (response.status, response.reason) == (307, "Elsewhere")
        assert response.headers["Location"] == "http://s3.test/b?X-Amz-Signature=a%2Fb"
        assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
        assert gzip.decompress(await response.read()) == b"moved"


@pytest.mark.parametrize("protocol", ["TCP", "HTTP"])
async def test_only_http_listeners_tell_where_a_request_came_from(world: World, protocol: str) -> None:
    world.route(protocol=protocol)
    await world.add_pod(report)
    headers = (await reported(world, headers={"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "gopher"}))[
        "headers"
    ]
    forwarded = [headers.get(f"X-Forwarded-{name}") for name in ("For", "Proto", "Port")]
    expected = {
        "TCP": [["192.0.2.1"], ["gopher"], None],
        "HTTP": [["192.0.2.1, 127.0.0.1"], ["http"], ["80"]],
    }
    assert forwarded == expected[protocol]


async def test_bodiless_responses_leave_the_connection_usable(world: World) -> None:
    async def handler(request: web.Request) -> web.Response:
        status = int(request.match_info["path"])
        return web.Response(status=status, headers={"Content-Length": "12345"} if request.method == "HEAD" else None)

    world.route()
    await world.add_pod(handler)
    reader, writer = await world.raw(b"")
    for method, status in (("HEAD", 200), ("DELETE", 204), ("GET", 304), ("HEAD", 404)):
        writer.write(f"{method} http://{HOST}/{status} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS)
        assert head.startswith(b"HTTP/1.1 %d" % status)
        assert (b"content-length: 12345" in head.lower()) == (method == "HEAD")
    writer.close()


async def test_a_client_of_http_1_0_gets_a_response_that_ends_with_the_connection(world: World) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"first ")
        await response.write(request.headers["Host"].encode())
        return response

    world.route()
    await world.add_pod(handler)
    head, _, body = (await world.answer(f"GET http://{HOST}/ HTTP/1.0\r\n\r\n".encode())).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == f"first {HOST}".encode()


async def test_a_client_that_keeps_its_proxy_when_it_is_redirected_to_s3_gets_there(world: World) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"<" + await reader.read(100) + b">")
        writer.close()

    aws = urlsplit(LAYOUT.cloud_tls_url)
    async with await asyncio.start_server(answer, aws.hostname, aws.port):
        reader, writer = await world.raw(f"CONNECT {aws.netloc} HTTP/1.1\r\nHost: {aws.netloc}\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b"<hello>"
        writer.close()


async def test_what_is_missing_on_the_way_is_told(world: World) -> None:
    assert await refusal(world) == f"no A record for {HOST} in hosted zone sandbox.test (Z123)\n"
    world.route()
    assert await refusal(world) == "the Service kube-system/kube-registry has no ready endpoint\n"
    dead = world.add_dead_pod()
    assert await refusal(world) == f"no connection to the ready endpoints {dead}: see the pods' logs\n"


async def test_an_endpoint_that_is_no_pod_of_this_sandbox_is_refused(world: World) -> None:
    world.route()
    world.pods.append(Endpoint("192.0.2.1", 80))
    assert await refusal(world) == f"the endpoint 192.0.2.1:80 is outside of the pods' {LAYOUT.pod_network}\n"


async def test_a_head_is_refused_without_a_body(world: World) -> None:
    answer = await world.answer(f"HEAD http://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 502")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"this is a proxy"),
        (b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", b"this is a proxy"),
        (b"GET http://x:port/ HTTP/1.1\r\nHost: x\r\n\r\n", b"port"),
        (b"CONNECT x:port HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT takes host:port"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"the edge can't read this request"),
    ],
)
async def test_what_is_no_request_to_a_proxy_is_refused(world: World, request_head: bytes, expected: bytes) -> None:
    answer = await world.answer(request_head)
    assert answer.startswith(b"HTTP/1.1 400")
    assert expected in answer


async def test_the_log_tells_each_request_without_query_and_headers(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sandbox.edge")
    world.route()
    world.route(HTTPS)
    pod = await world.add_pod(report)
    for url in (
        f"http://{HOST}/v2/?_state=SECRET1",
        f"https://{HOST}/v2/?_state=SECRET2",
        "http://u:SECRET3@no.test/?q",
    ):
        async with world.session() as session, session.get(url, headers={"X-Authorization": "SECRET4"}):
            pass
    lines = [record.getMessage() for record in caplog.records if record.name == "sandbox.edge"]
    assert [line.rpartition(" ms")[0].rpartition(" ")[0] for line in lines] == [
        f"GET {HOST} /v2/ 200 {pod}",
        f"GET {HOST} /v2/ 200 {pod}",
        "GET no.test / 502 -",
    ]
    assert "SECRET" not in caplog.text


@pytest.mark.sandbox
async def test_the_process_serves_until_sigterm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    layout = replace(LAYOUT, name="edge-process")
    layout.directory.mkdir(parents=True)
    Account("key", "secret", "", "", "", "", "", "").save(layout.account_file)
    Authority.open(layout)
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.edge", "--name", layout.name, "--network", str(layout.network)],
        stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3], env=dict(os.environ),
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex((layout.address, 3128)) == 0:
                        break
                assert process.poll() is None, process.communicate()[1]
                await asyncio.sleep(0.05)
        async with aiohttp.ClientSession(proxy=layout.edge_url) as session, session.get(f"http://{HOST}/") as response:
            assert response.status == 502
            assert f"the emulated AWS at {layout.cloud_url} does not answer" in await response.text()
        process.send_signal(signal.SIGTERM)
        _, log = await asyncio.to_thread(process.communicate, timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
        assert f"GET {HOST} / 502 -" in log
    finally:
        process.kill()
        process.wait()
