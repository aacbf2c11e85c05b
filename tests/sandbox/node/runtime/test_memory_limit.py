from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from sandbox.node.runtime.memory_limit import MemoryWatch, excess, proportional
from tests.waiting import PATIENCE_SECONDS, wait_for

MEBIBYTE = 2**20


class Proc:
    """A /proc with processes of our making."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "meminfo").touch()

    def add(self, pid: int, namespace: str, *, each: int, proportional: int | None = None) -> None:
        """`each` and `proportional` are the kibibytes that status and smaps_rollup tell; None if it may not be read."""
        process = self.directory / str(pid)
        (process / "ns").mkdir(parents=True)
        (process / "ns/pid").symlink_to(f"pid:[{namespace}]")
        status = f"Name:\tapp\nVmRSS:\t99999 kB\nRssAnon:\t{each - 2} kB\nRssFile:\t999 kB\n"
        (process / "status").write_text(status + "RssShmem:\t1 kB\nVmSwap:\t1 kB\n")
        if proportional is not None:
            rollup = f"0040-7fff ---p 00 00:00 0 [rollup]\nPss: 99999 kB\nPss_Anon: {proportional - 2} kB\n"
            (process / "smaps_rollup").write_text(rollup + "Pss_File: 999 kB\nPss_Shmem: 1 kB\nSwapPss: 1 kB\n")


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_memory_up_to_the_limit_is_no_excess(proc: Proc) -> None:
    proc.add(1, "1", each=600, proportional=600)
    proc.add(2, "1", each=424, proportional=424)
    assert excess([1, 2], MEBIBYTE, proc.directory) == 0
    assert excess([1, 2], MEBIBYTE - 1, proc.directory) == MEBIBYTE


def test_pages_that_processes_share_count_once(proc: Proc) -> None:
    for pid in (1, 2, 3):
        proc.add(pid, "1", each=900, proportional=300)
    assert excess([1, 2, 3], MEBIBYTE, proc.directory) == 0
    assert excess([1, 2, 3], MEBIBYTE // 2, proc.directory) == 900 * 1024


def test_a_process_whose_pages_are_not_told_counts_as_if_it_shared_none(proc: Proc) -> None:
    proc.add(1, "1", each=2048)
    assert proportional(1, proc.directory) == 2 * MEBIBYTE
    assert excess([1], MEBIBYTE, proc.directory) == 2 * MEBIBYTE


def test_a_process_that_has_ended_takes_nothing(proc: Proc) -> None:
    assert proportional(1, proc.directory) == 0
    assert excess([1], 0, proc.directory) == 0


def test_each_container_is_held_to_its_own_limit_with_all_of_its_processes(proc: Proc) -> None:
    told: list[tuple[str, int]] = []
    proc.add(10, "1", each=600, proportional=600)
    proc.add(20, "2", each=600, proportional=600)
    watch = MemoryWatch(proc.directory)
    watch.watch(10, MEBIBYTE, lambda used: told.append(("one", used)))
    watch.watch(20, MEBIBYTE, lambda used: told.append(("two", used)))
    watch.look()
    assert told == []
    proc.add(11, "1", each=600, proportional=600)
    watch.look()
    watch.look()
    assert told == [("one", 1200 * 1024)]


def test_a_container_that_has_ended_is_forgotten_and_is_none_to_watch(proc: Proc) -> None:
    told: list[int] = []
    watch = MemoryWatch(proc.directory)
    watch.watch(10, 1, told.append)
    proc.add(10, "1", each=600)
    watch.look()
    assert told == []


PREPARED = 64 * MEBIBYTE
FORKED = f"""
import os, time
kept = bytearray({PREPARED})
kept[::4096] = bytes([1]) * len(kept[::4096])
if os.fork() == 0:
    os.setsid()
os.write(1, b'r')
time.sleep(600)
"""
GROWING = """
import mmap, os, time
kept = []
os.write(1, b'rr')
for _ in range(1024):  # not for ever, if nobody ends it
    part = {}
    part[::4096] = bytes([1]) * len(part[::4096])
    kept.append(part)
    time.sleep(0.002)
time.sleep(600)
"""


@pytest.fixture
def container() -> Iterator[Callable[[str], psutil.Process]]:
    """Runs Python code in a PID namespace of its own, and returns its first process when it has written two bytes."""
    with ExitStack() as stack:

        def run(code: str) -> psutil.Process:
            command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", sys.executable, "-c"]
            process = subprocess.Popen([*command, code], stdout=subprocess.PIPE)
            stack.callback(process.wait, PATIENCE_SECONDS)
            stack.callback(process.kill)
            assert process.stdout
            assert process.stdout.read(2) == b"rr"
            (first,) = psutil.Process(process.pid).children()
            return first

        yield run


@pytest.mark.sandbox
def test_what_a_real_container_shares_since_a_fork_counts_once(
    container: Callable[[str], psutil.Process],
) -> None:
    told: list[int] = []
    watch = MemoryWatch()
    first = container(FORKED)
    watch.watch(first.pid, 3 * PREPARED // 2, told.append)
    watch.look()
    assert told == []
    watch.watch(first.pid, PREPARED, told.append)
    wait_for(lambda: told, "excess")
    assert PREPARED < told[0] < 3 * PREPARED // 2


@pytest.mark.sandbox
@pytest.mark.parametrize("part", ["bytearray(1 << 20)", "mmap.mmap(-1, 1 << 20)"], ids=["anonymous", "shared"])
def test_a_real_container_that_takes_more_and_more_is_noticed_and_can_be_ended(
    container: Callable[[str], psutil.Process], part: str
) -> None:
    told: list[int] = []
    first = container(GROWING.format(part))

    def end(used: int) -> None:
        told.append(used)
        first.kill()

    MemoryWatch().watch(first.pid, PREPARED, end)
    assert psutil.wait_procs([first], timeout=PATIENCE_SECONDS)[1] == []
    (used,) = told
    assert used > PREPARED
