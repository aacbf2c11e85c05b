"""Putting a function of ours in the place of one of moto's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def instead_of(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Put the decorated function in the place of `owner.name`, with what was there as its first argument."""
    original = getattr(owner, name)

    def replace(function: Callable[..., Any]) -> None:
        def replacement(*arguments: Any, **named: Any) -> Any:
            return function(original, *arguments, **named)

        setattr(owner, name, replacement)

    return replace
