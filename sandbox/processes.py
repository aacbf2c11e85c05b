"""The processes of a sandbox: started apart from the terminal, recorded, and ended by their own ids only."""

from __future__ import annotations

import fcntl
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from sandbox.layout import Layout

STOP_SECONDS = 30.0
"""How long a process may take to end after SIGTERM before it is killed: a second, and more on a busy machine."""
POLL_SECONDS, LONGEST_POLL_SECONDS = 0.05, 1.0
"""Between two looks at something awaited, at first and in the end: a look at the cluster costs 0.1 s of CPU time."""
LOG_TAIL = 20
"""Lines of a log that an error shows."""


class ProcessError(Exception):
    """A process of the sandbox did not do what was awaited."""


@dataclass(frozen=True)
class Process:
    """A recorded process; the time of creation tells it from a later one with the same id."""

    name: str
    pid: int
    created: float

    def find(self) -> psutil.Process | None:
        """Return the process if it is still the one recorded and runs."""
        try:
            found = psutil.Process(self.pid)
            if found.create_time() == self.created and found.status() != psutil.STATUS_ZOMBIE:
                return found
        except psutil.NoSuchProcess:
            pass
        return None


def start(layout: Layout, name: str, argv: Sequence[str], env: Mapping[str, str]) -> Process:
    """Start `argv` with exactly the environment `env`, unless a process `name` runs already; return it.

    It has a session of its own and the sandbox's directory as working directory; its output is added to
    `<name>.log` in `Layout.logs`. Raises ProcessError if the program can't be executed.
    """
    layout.logs.mkdir(parents=True, exist_ok=True)
    with _record(layout) as processes:
        for process in processes:
            if process.name == name:
                return process
        with log_file(layout, name).open("ab") as log:
            try:
                child = subprocess.Popen(
                    list(argv), env=dict(env), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    cwd=layout.directory, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise ProcessError(f"process {name}: {error}") from error
        _children[child.pid] = child
        process = Process(name, child.pid, psutil.Process(child.pid).create_time())
        processes.append(process)
        return process


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Of this process itself: to be waited for, or they would stay as zombies."""


def running(layout: Layout) -> list[Process]:
    """Return the sandbox's processes that run, in the order of their start."""
    with _record(layout) as processes:
        return list(processes)


def stop(layout: Layout, names: Sequence[str] | None = None) -> list[str]:
    """Stop the processes `names` (all, if None), last started first; return the names of those that ran.

    Each gets SIGTERM, and SIGKILL if it has not ended after STOP_SECONDS.
    """
    stopped = []
    with _record(layout) as processes:
        for process in reversed(processes.copy()):
            if names is None or process.name in names:
                if found := process.find():
                    _end(found)
                    stopped.append(process.name)
                processes.remove(process)
    return stopped


def _end(process: psutil.Process) -> None:
    for signal_it in (process.terminate, process.kill):
        try:
            signal_it()
            (_children.get(process.pid) or process).wait(STOP_SECONDS)
        except psutil.NoSuchProcess:
            return
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            continue
        return


def wait_until(
    condition: Callable[[], bool], timeout: float, what: str, *, layout: Layout | None = None, name: str | None = None
) -> None:
    """Wait until `condition()` is true. Raises ProcessError after `timeout` seconds, saying that `what` did not come.

    With `layout` and `name` the process is watched: an early end is an error too, and errors show its log's end.
    """
    deadline, pauses = time.monotonic() + timeout, growing_pauses()
    while not condition():
        ended = layout and name and all(process.name != name for process in running(layout))
        if ended or time.monotonic() > deadline:
            why = f"process {name} has ended" if ended else f"not within {timeout:g} s"
            tail = f"\n{log_file(layout, name)} ends:\n{log_tail(layout, name)}" if layout and name else ""
            raise ProcessError(f"{what}: {why}{tail}")
        time.sleep(next(pauses))


def growing_pauses() -> Iterator[float]:
    """Seconds to wait before each next look: what comes soon is seen soon, and a long wait costs little."""
    pause = POLL_SECONDS
    while True:
        yield pause
        pause = min(pause * 1.2, LONGEST_POLL_SECONDS)


def log_file(layout: Layout, name: str) -> Path:
    """Return the file that has the output of the process `name`."""
    return layout.logs / f"{name}.log"


def log_tail(layout: Layout, name: str) -> str:
    """Return the last lines of a process's log."""
    try:
        lines = log_file(layout, name).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(lines[-LOG_TAIL:])


@contextmanager
def _record(layout: Layout) -> Iterator[list[Process]]:
    """The recorded processes that still run; what the caller leaves in the list is recorded. One caller at a time."""
    file = layout.directory / "processes.json"
    layout.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (layout.directory / "processes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        recorded = [Process(**one) for one in json.loads(file.read_text())] if file.exists() else []
        for pid, child in list(_children.items()):
            if child.poll() is not None:
                del _children[pid]
        processes = [process for process in recorded if process.find()]
        try:
            yield processes
        finally:
            new = file.with_suffix(".new")
            new.write_text(json.dumps([asdict(process) for process in processes], indent=2))
            new.replace(file)
