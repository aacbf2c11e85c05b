"""The part of the kubelet's HTTPS API that `kubectl logs` asks for through the API server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from sandbox.authority import Authority
from sandbox.layout import Layout
from sandbox.node.pod_container import PodContainer

PORT = 10250
CHUNK = 64 * 1024
POLL_SECONDS = 0.2
"""How often a log that is followed is looked at."""

FindContainer = Callable[[str, str, str], PodContainer | None]
"""Namespace, pod and container name to the container."""


class KubeletApi:
    """Serves containers' logs to the API server, which shows a certificate of the sandbox's authority."""

    def __init__(self, layout: Layout, find: FindContainer) -> None:
        """`find` looks containers up."""
        self._layout = layout
        self._find = find

    async def start(self) -> None:
        """Listen on `Layout.address`, port 10250."""
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        context = Authority.open(self._layout).server_context(self._layout.address)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self._layout.authority_certificate)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, self._layout.address, PORT, ssl_context=context, shutdown_timeout=1).start()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        names, options = request.match_info, request.query
        container = self._find(names["namespace"], names["pod"], names["container"])
        which = f'container "{names["container"]}" in pod "{names["pod"]}"'
        if not container:
            raise web.HTTPNotFound(text=f"{which} is not on this node")
        for option in options.keys() - {"follow", "tailLines", "limitBytes", "previous"}:
            raise web.HTTPBadRequest(text=f"logs option {option} is not supported by the sandbox's node")
        starts = list(container.log_starts)
        if options.get("previous") == "true":
            if len(starts) < 2:  # noqa: PLR2004 (this run and the one before)
                raise web.HTTPBadRequest(text=f"previous terminated {which} not found")
            begin, end = starts[-2], starts[-1]
        elif starts:
            begin, end = starts[-1], None
        else:
            raise web.HTTPBadRequest(text=f"{which} is waiting to start: {_waiting_for(container)}")
        if "tailLines" in options:
            begin = _tail(container.log, begin, end, int(options["tailLines"]))
        limit = int(options.get("limitBytes", -1))
        follow = options.get("follow") == "true" and end is None
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        with container.log.open("rb") as log:
            log.seek(begin)
            while limit != 0:
                left = CHUNK if end is None else end - log.tell()
                chunk = log.read(min(left, CHUNK) if limit < 0 else min(left, CHUNK, limit))
                if chunk:
                    limit -= len(chunk) if limit > 0 else 0
                    await response.write(chunk)
                elif follow and container.log_starts == starts and "running" in container.state.state:
                    await asyncio.sleep(POLL_SECONDS)
                else:
                    break
        return response


def _waiting_for(container: PodContainer) -> str:
    return container.state.state.get("waiting", {}).get("reason", "unknown")


def _tail(log: Path, begin: int, end: int | None, lines: int) -> int:
    """Return where the last `lines` lines between `begin` and `end` (or the file's end) begin."""
    with log.open("rb") as file:
        file.seek(begin)
        text = file.read(-1 if end is None else end - begin)
    kept = text.splitlines(keepends=True)
    return begin + len(text) - sum(len(line) for line in kept[max(0, len(kept) - lines) :])
