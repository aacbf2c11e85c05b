"""Containers are kept to their memory limits by watching, where the user may make no cgroup.

What counts is what the kernel can't take back: anonymous and shared memory, in swap too, of all processes of a
container's PID namespace. Pages that processes share since a fork count once, the program's own files not at all.
A container may be over its limit for as long as INTERVAL_SECONDS.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

INTERVAL_SECONDS = 0.1
"""Between two looks, each of which costs about a millisecond: who takes 1 GB/s gets 0.1 GB more than his limit."""
KIBIBYTE = 1024
EACH_PROCESS = ("RssAnon", "RssShmem", "VmSwap")
"""What /proc/PID/status counts of memory; what several processes share is in each of them."""
PROPORTIONAL = ("Pss_Anon", "Pss_Shmem", "SwapPss")
"""The same in /proc/PID/smaps_rollup, where each has its share; dearer to read, as pages are counted."""

Exceeded = Callable[[int], None]
"""Is told the bytes that were found."""


@dataclass(frozen=True)
class _Watched:
    """A container: its PID namespace, its limit in bytes, and who is told when it is over it."""

    namespace: str
    limit: int
    exceeded: Exceeded


class MemoryWatch:
    """Watches containers in a thread of its own."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        """`proc` is the file system in which the kernel tells of processes."""
        self._proc = proc
        self._changed = threading.Condition()
        """Guards `_watched`."""
        self._watched: list[_Watched] = []
        self._namespaces: dict[int, str] = {}
        self._thread: threading.Thread | None = None

    def watch(self, pid: int, limit: int, exceeded: Exceeded) -> None:
        """Call `exceeded` once, from another thread, if the container whose first process is `pid` goes over `limit`.

        `limit` is in bytes. The container is forgotten when it has no processes any more.
        """
        namespace = self._namespace(pid)
        if not namespace:
            return  # it has ended already
        with self._changed:
            self._watched.append(_Watched(namespace, limit, exceeded))
            self._changed.notify()
            if not self._thread:
                self._thread = threading.Thread(target=self._run, name="memory limits", daemon=True)
                self._thread.start()

    def look(self) -> None:
        """Look at the containers once."""
        processes = self._processes()
        with self._changed:
            watched = list(self._watched)
        for container in watched:
            pids = processes.get(container.namespace, [])
            used = excess(pids, container.limit, self._proc)
            if used or not pids:
                with self._changed:
                    if container not in self._watched:  # another thread was quicker
                        continue
                    self._watched.remove(container)
            if used:
                container.exceeded(used)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._watched)
            self.look()
            threading.Event().wait(INTERVAL_SECONDS)

    def _processes(self) -> dict[str, list[int]]:
        """All processes by PID namespace. One never changes it, so that only new processes are looked at."""
        present = {int(name) for name in os.listdir(self._proc) if name.isdecimal()}  # noqa: PTH208 (half the time)
        self._namespaces = {pid: name for pid, name in self._namespaces.items() if pid in present}
        for pid in present - self._namespaces.keys():
            if namespace := self._namespace(pid):
                self._namespaces[pid] = namespace
        found: dict[str, list[int]] = {}
        for pid, namespace in self._namespaces.items():
            found.setdefault(namespace, []).append(pid)
        return found

    def _namespace(self, pid: int) -> str:
        """Its PID namespace; empty if it has ended or is another user's."""
        try:
            return str((self._proc / str(pid) / "ns/pid").readlink())
        except OSError:
            return ""


def excess(pids: Iterable[int], limit: int, proc: Path) -> int:
    """Return the bytes that these processes take if that is more than `limit`, else 0."""
    pids = list(pids)
    if sum(_counted(proc / str(pid) / "status", EACH_PROCESS) or 0 for pid in pids) <= limit:
        return 0
    used = sum(proportional(pid, proc) for pid in pids)
    return used if used > limit else 0


def proportional(pid: int, proc: Path) -> int:
    """Return the bytes that a process takes, with its share of what it shares; 0 if it has ended."""
    used = _counted(proc / str(pid) / "smaps_rollup", PROPORTIONAL)
    if used is None:  # ended, or a program that nobody may read, whose pages aren't told either
        used = _counted(proc / str(pid) / "status", EACH_PROCESS)
    return used or 0


def _counted(file: Path, names: tuple[str, ...]) -> int | None:
    """The sum of these lines, `Name: 12 kB`, in bytes. None if the file can't be read."""
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return None
    return sum(int(fields[1]) for fields in lines if fields[0][:-1] in names) * KIBIBYTE
