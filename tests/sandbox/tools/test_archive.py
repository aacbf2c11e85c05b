"""An archive of built tools: what one checkout writes another takes, if it is of the same pins and platform."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.tools import archive, build
from sandbox.tools.pins import PARTS, Part, ToolchainError


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    """Two parts that are built in a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for part in PARTS[:2]:
        (part.directory / "bin").mkdir(parents=True)
        (part.directory / "files").mkdir()
        (part.directory / "bin" / part.name).write_bytes(b"\x7fELF " + part.name.encode())
        (part.directory / "bin" / part.name).chmod(0o755)
    (PARTS[0].directory / "files" / "config.yml").write_text("a: b\n")
    return list(PARTS[:2])


@pytest.fixture
def file(tmp_path: Path, parts: list[Part]) -> Path:
    """Their archive."""
    archive.write(tmp_path / "tools.tar.gz", parts)
    return tmp_path / "tools.tar.gz"


def contents(part: Part) -> dict[str, tuple[bytes, int]]:
    files = [path for path in part.directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(part.directory)): (path.read_bytes(), path.stat().st_mode & 0o777) for path in files}


def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))


def test_what_one_cache_has_another_gets(
    parts: list[Part], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = [contents(part) for part in parts]
    elsewhere(monkeypatch, tmp_path)
    monkeypatch.setenv(build.ARCHIVE, str(file))
    build.provide(parts)
    assert [contents(part) for part in parts] == written
    assert (parts[1].directory / "files").is_dir()  # though there is none
    assert written[0]["files/config.yml"] == (b"a: b\n", 0o644)


def test_only_what_is_wanted_is_taken(
    parts: list[Part], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(monkeypatch, tmp_path)
    archive.take(file, [parts[1], PARTS[-1]])
    assert [part.name for part in PARTS if part.directory.exists()] == [parts[1].name]


def test_an_archive_of_another_platform_is_refused(
    parts: list[Part], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, other = (
        ("linux/amd64", "aarch64") if platform.machine() == "x86_64" else (f"linux/{platform.machine()}", "x86_64")
    )
    monkeypatch.setattr(platform, "machine", lambda: other)
    with pytest.raises(ToolchainError, match=f"has tools for {here}, and this machine is linux/") as raised:
        archive.take(file, parts)
    assert "`make tools-archive`" in str(raised.value)


def test_an_archive_of_other_pins_is_refused_by_the_parts_name(
    parts: list[Part], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = replace(parts[1], packages=("./another",))
    monkeypatch.setattr(archive, "PARTS", (parts[0], changed, *PARTS[2:]))
    with pytest.raises(ToolchainError, match=f"has {changed.name} of other pins than this checkout's"):
        archive.take(file, [changed])


@pytest.mark.parametrize("damage", ["cut off", "no archive", "empty"])
def test_a_damaged_archive_leaves_nothing(
    damage: str, parts: list[Part], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = file.read_bytes()
    file.write_bytes({"cut off": whole[: len(whole) // 2], "no archive": b"tools"}.get(damage, b""))
    elsewhere(monkeypatch, tmp_path)
    with pytest.raises(ToolchainError, match="is no whole archive of tools"):
        archive.take(file, parts)
    assert not [part for part in parts if part.directory.exists()]


def test_a_file_that_is_not_there_is_told(parts: list[Part], tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="there is no such file"):
        archive.take(tmp_path / "none.tar.gz", parts)
