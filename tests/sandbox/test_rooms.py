"""The sandbox's rooms: which may import which, so that each can be read, and replaced, alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import sandbox

ROOMS = ("aws", "cluster", "node", "edge")
SANDBOX = Path(sandbox.__file__).parent


def imported_modules(file: Path) -> set[str]:
    """Every module that `file` imports, `from a import b` as both `a` and `a.b`."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_no_other_room(room: str) -> None:
    files = list((SANDBOX / room).rglob("*.py"))
    others = tuple(f"sandbox.{other}" for other in ROOMS if other != room)
    assert files
    strangers = {
        f"{file.name}: {module}"
        for file in files
        for module in imported_modules(file)
        if module.startswith(tuple(f"{other}." for other in others)) or module in others
    }
    assert strangers == set()


def test_the_product_imports_nothing_of_the_sandbox() -> None:
    files = [SANDBOX.parent / "__main__.py", *(SANDBOX.parent / "registry").rglob("*.py")]
    assert not [file for file in files for module in imported_modules(file) if module.partition(".")[0] == "sandbox"]
