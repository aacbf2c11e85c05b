"""The tools' build: what it needs, and what it says when that is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

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
