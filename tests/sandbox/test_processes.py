from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator

import psutil
import pytest

from sandbox import processes
from sandbox.layout import Layout
from sandbox.processes import ProcessError, log_file, running, start, stop, wait_until
from tests.waiting import PATIENCE_SECONDS, wait_for

SLEEP = [sys.executable, "-c", "import time; print('started', flush=True); time.sleep(600)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
]


@pytest.fixture
def layout(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layout]:
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.5)
    yield layout
    stop(layout)


def says(layout: Layout, name: str, text: str) -> None:
    wait_until(lambda: text in log_file(layout, name).read_text(), PATIENCE_SECONDS, text, layout=layout, name=name)


def names(layout: Layout) -> list[str]:
    return [process.name for process in running(layout)]


def test_a_process_has_a_session_a_log_and_exactly_its_environment(layout: Layout) -> None:
    show = "import os; print(dict(os.environ).get('A'), 'HOME' in os.environ, os.getsid(0) == os.getpid(), flush=True)"
    process = start(layout, "one", [sys.executable, "-c", f"{show}\nimport time; time.sleep(600)"], {"A": "1"})
    says(layout, "one", "1 False True")
    assert psutil.Process(process.pid).cwd() == str(layout.directory)
    assert running(layout) == [process]


def test_starting_what_runs_changes_nothing(layout: Layout) -> None:
    assert start(layout, "one", SLEEP, {}) == start(layout, "one", ["/does/not/exist"], {})


def test_what_was_started_last_is_stopped_first(layout: Layout) -> None:
    for name in ("one", "two", "three"):
        start(layout, name, SLEEP, {})
    assert names(layout) == ["one", "two", "three"]
    assert stop(layout, ["one", "three"]) == ["three", "one"]
    assert names(layout) == ["two"]
    assert stop(layout) == ["two"]
    assert stop(layout) == []


def test_what_ignores_sigterm_is_killed(layout: Layout) -> None:
    process = start(layout, "deaf", DEAF, {})
    says(layout, "deaf", "deaf")
    assert stop(layout) == ["deaf"]
    wait_for(lambda: not psutil.pid_exists(process.pid), "end of what was killed")


def test_a_process_that_has_died_is_forgotten_and_can_be_started_again(layout: Layout) -> None:
    process = start(layout, "one", SLEEP, {})
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not running(layout), "end of one")
    assert start(layout, "one", SLEEP, {}).pid != process.pid


def test_another_process_that_has_got_the_recorded_id_is_left_alone(layout: Layout) -> None:
    process = start(layout, "one", SLEEP, {})
    record = layout.directory / "processes.json"
    recorded = json.loads(record.read_text())
    record.write_text(json.dumps([{**recorded[0], "created": process.created - 1}]))
    assert running(layout) == []
    assert stop(layout) == []
    assert psutil.Process(process.pid).create_time() == process.created
    record.write_text(json.dumps(recorded))


def test_a_program_that_is_not_there_is_named(layout: Layout) -> None:
    with pytest.raises(ProcessError, match=r"process one: .*/does/not/exist"):
        start(layout, "one", ["/does/not/exist"], {})
    assert running(layout) == []


def test_waiting_for_a_process_that_ends_shows_the_end_of_its_log(layout: Layout) -> None:
    start(layout, "one", [sys.executable, "-c", "raise SystemExit('no such setting')"], {})
    with pytest.raises(ProcessError, match=r"one ready: process one has ended\n.*one.log ends:\nno such setting"):
        wait_until(lambda: False, PATIENCE_SECONDS, "one ready", layout=layout, name="one")


def test_waiting_too_long_says_how_long() -> None:
    with pytest.raises(ProcessError, match=r"the moon: not within 0\.1 s"):
        wait_until(lambda: False, 0.1, "the moon")
