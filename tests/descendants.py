"""The processes that a process has started, as they come and go."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import psutil


def descendants(process: psutil.Process, matching: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """Those that match. Who ends before it is asked whether it does, does not."""
    found = []
    for one in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if matching(one):
                found.append(one)
    return found
