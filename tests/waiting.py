"""How tests wait: for what they assert, up to a deadline that only a failure reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sandbox.processes import growing_pauses

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
"""Far more than anything takes that is waited for here, also on a machine that has other work."""
COMMAND_SECONDS = 15 * PATIENCE_SECONDS
"""The same for a command that deploys a stack, or starts a sandbox."""


def wait_for(look: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """What `look` returns as soon as that is true. Raises AssertionError, which names `what`, if it never is."""
    deadline, pauses = time.monotonic() + seconds, growing_pauses()
    while not (found := look()):
        assert time.monotonic() < deadline, f"no {what} within {seconds:g} s"
        time.sleep(next(pauses))
    return found
