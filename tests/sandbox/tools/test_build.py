"""The tools' build: what it needs, and what it says when that is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sandbox.tools import build
from sandbox.tools.build import ToolchainError, toolchain


@pytest.fixture(autouse=True)
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache without tools, and a PATH without programs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()


def put_go_on_path(directory: Path, version: str) -> None:
    go = directory / "bin" / "go"
    go.write_text(f"#!/bin/sh\necho {version}\n")
    go.chmod(0o755)


def test_a_missing_go_says_what_to_install() -> None:
    with pytest.raises(ToolchainError, match=r"go is not on PATH, but .* with Go 1\.26: install it"):
        toolchain.__wrapped__()


@pytest.mark.parametrize("version", ["go1.25.9", "go1.3", "devel"])
def test_a_go_that_is_too_old_says_which_is_needed(tmp_path: Path, version: str) -> None:
    put_go_on_path(tmp_path, version)
    with pytest.raises(ToolchainError, match=rf"go on PATH is {version}, but must be at least 1\.26"):
        toolchain.__wrapped__()


def test_two_checkouts_of_the_same_pins_have_one_key_and_another_pin_gives_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = build._key()
    checkout = tmp_path / "checkout"
    shutil.copytree(build.MODULES, checkout, ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "__pycache__").mkdir()
    (checkout / "__pycache__" / "build.cpython-311.pyc").write_bytes(b"compiled by whoever ran it")
    monkeypatch.setattr(build, "MODULES", checkout)
    assert build._key() == key
    with (checkout / "engine" / "go.mod").open("a") as pins:
        pins.write("// another\n")
    assert build._key() != key
