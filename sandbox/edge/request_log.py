"""The edge's log: a line for each request, or for each tunnel whose bytes the edge does not look into."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from sandbox.edge.endpoints import Endpoint

log = logging.getLogger("sandbox.edge")


@dataclass
class Entry:
    """A request's line in the log. It holds no query and no header, which may be secret."""

    method: str
    host: str = "-"
    path: str = "-"
    status: int | None = None
    endpoint: Endpoint | None = None
    note: str = ""
    is_tunnel: bool = False
    """Whether the requests inside have lines of their own."""
    started: float = field(default_factory=time.monotonic)

    def write(self) -> None:
        """Write the line."""
        if self.is_tunnel:
            return
        milliseconds = (time.monotonic() - self.started) * 1000
        where = f"{self.method} {self.host} {self.path} {self.status or '-'} {self.endpoint or '-'}"
        log.info("%s %.0f ms%s", where, milliseconds, self.note and f": {self.note}")
