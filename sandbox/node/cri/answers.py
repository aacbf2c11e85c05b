"""How calls of the CRI are answered that fail, or that the kubelet no longer waits for."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc


async def abort(context: Any, code: grpc.StatusCode, text: str) -> NoReturn:
    """Answer with an error, which the kubelet puts into the pod's events."""
    await context.abort(code, text)
    raise AssertionError("abort raises")


def to_its_end(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Have a call that changes something go on when the kubelet gives it up, so that nothing is left half made."""

    @functools.wraps(method)
    async def call(*arguments: Any) -> Any:
        task = asyncio.ensure_future(method(*arguments))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever waited has it, or nobody
        return await asyncio.shield(task)

    return call
