from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sandbox.node.runtime.container_log import LONGEST_LINE, ContainerLog, LineCutter, entry
from tests.waiting import PATIENCE_SECONDS, wait_for

Entry = tuple[bytes, bytes]


def cut(*chunks: bytes) -> list[Entry]:
    cutter = LineCutter()
    return [*(one for chunk in chunks for one in cutter.cut(chunk)), *cutter.end()]


def entries(path: Path) -> list[tuple[str, str, bytes]]:
    """Stream, tag and line of each entry."""
    lines = [line.split(b" ", 3) for line in path.read_bytes().splitlines(keepends=True)]
    return [(stream.decode(), tag.decode(), line.removesuffix(b"\n")) for _, stream, tag, line in lines]


def say(log: ContainerLog, script: str) -> None:
    """Run a container's script, and wait until its log has ended."""
    with log.streams() as (stdout, stderr):
        process = subprocess.Popen([sys.executable, "-c", f"import os\n{script}"], stdout=stdout, stderr=stderr)
    assert process.wait(PATIENCE_SECONDS) == 0
    assert log.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"one\ntwo\n"], [(b"F", b"one"), (b"F", b"two")]),
        ([b"on", b"e\nt", b"wo\n"], [(b"F", b"one"), (b"F", b"two")]),
        ([b"\n\n"], [(b"F", b""), (b"F", b"")]),
        ([b"with\r\n"], [(b"F", b"with\r")]),
        ([b"unended"], [(b"P", b"unended")]),
        ([b"\xff\xfe bytes\n"], [(b"F", b"\xff\xfe bytes")]),
        ([], []),
    ],
)
def test_a_stream_is_cut_into_lines(chunks: list[bytes], expected: list[Entry]) -> None:
    assert cut(*chunks) == expected


@pytest.mark.parametrize("chunk", [1000, LONGEST_LINE, 10 * LONGEST_LINE])
def test_a_long_line_comes_in_parts_however_it_was_read(chunk: int) -> None:
    long = os.urandom(2 * LONGEST_LINE + 5).replace(b"\n", b" ")
    content = long + b"\nshort\n"
    parts = cut(*(content[start : start + chunk] for start in range(0, len(content), chunk)))
    assert [(tag, len(line)) for tag, line in parts] == [
        (b"P", LONGEST_LINE),
        (b"P", LONGEST_LINE),
        (b"F", 5),
        (b"F", 5),
    ]
    assert b"".join(line for _, line in parts[:3]) == long


def test_a_line_of_just_the_length_is_whole() -> None:
    assert cut(b"x" * LONGEST_LINE + b"\n") == [(b"F", b"x" * LONGEST_LINE)]


def test_an_entry_has_the_time_to_the_nanosecond() -> None:
    assert entry("stderr", b"F", b"a line", 1_700_000_000_000_000_042) == (
        b"2023-11-14T22:13:20.000000042Z stderr F a line\n"
    )


def test_standard_output_and_error_are_told_apart_with_the_time(tmp_path: Path) -> None:
    path = tmp_path / "pod" / "container" / "0.log"
    before = datetime.now(UTC)
    say(ContainerLog(path), r"os.write(1, b'out\n'); os.write(2, b'\xff\nlast')")
    assert sorted(entries(path)) == [("stderr", "F", b"\xff"), ("stderr", "P", b"last"), ("stdout", "F", b"out")]
    times = [datetime.fromisoformat(line.split()[0].decode()) for line in path.read_bytes().splitlines()]
    assert all(before <= moment <= datetime.now(UTC) for moment in times)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_log_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    for number in range(2):
        say(ContainerLog(path), rf"os.write(1, b'{number}\n')")
    assert entries(path) == [("stdout", "F", b"0"), ("stdout", "F", b"1")]


def test_a_log_that_is_rotated_goes_on_in_a_new_file(tmp_path: Path) -> None:
    path, rotated = tmp_path / "0.log", tmp_path / "0.log.1"
    log = ContainerLog(path)
    with log.streams() as (stdout, _):
        os.write(stdout, b"before\nha")
        wait_for(lambda: entries(path), "first line")
        path.rename(rotated)
        os.write(stdout, b"lf\n")
        wait_for(lambda: len(entries(rotated)) == 2, "second line")  # until it is told to
        log.reopen()
        os.write(stdout, b"after\n")
        wait_for(lambda: entries(path), "line in the new file")
    assert log.wait(PATIENCE_SECONDS)
    assert entries(rotated) == [("stdout", "F", b"before"), ("stdout", "F", b"half")]
    assert entries(path) == [("stdout", "F", b"after")]


def test_a_log_that_has_ended_is_not_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    log = ContainerLog(path)
    say(log, "")
    path.unlink()
    log.reopen()
    assert not path.exists()


def test_a_container_never_waits_for_its_log(tmp_path: Path) -> None:
    Path(tmp_path / "full.log").symlink_to("/dev/full")  # where nothing can be written
    say(ContainerLog(tmp_path / "full.log"), r"os.write(1, b'x' * (1 << 20)); os.write(2, b'y\n' * (1 << 18))")


def test_a_log_ends_when_both_streams_have_ended_and_leaves_nothing_open(tmp_path: Path) -> None:
    open_before = set(Path("/proc/self/fd").iterdir())
    log = ContainerLog(tmp_path / "0.log")
    with log.streams() as (stdout, stderr):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=stdout, stderr=stderr)
    assert not log.wait(0.01)
    child.communicate(b"\n")
    assert log.wait(PATIENCE_SECONDS)
    assert set(Path("/proc/self/fd").iterdir()) == open_before


def test_a_container_that_could_not_be_started_leaves_an_ended_log(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "0.log")
    with pytest.raises(FileNotFoundError), log.streams() as (stdout, stderr):
        subprocess.Popen(["/nowhere"], stdout=stdout, stderr=stderr)
    assert log.wait(PATIENCE_SECONDS)
