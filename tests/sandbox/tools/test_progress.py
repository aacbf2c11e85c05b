"""What is told of a build: how much of all work is done, and how long the rest takes."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from sandbox.tools import build, pins, progress
from sandbox.tools.packages import Package, Work, binary_of, work_of
from sandbox.tools.pins import Part, ToolchainError
from sandbox.tools.progress import BuildProgress

SHARED = Package("example.com/shared", "s", 600)
WORKS = {
    "one": Work([SHARED, Package("example.com/one", "1", 200)], {"one": 100}),
    "two": Work([SHARED], {"two": 100}),
}


class Clock:
    """A time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def shown(clock: Clock, printed: io.StringIO) -> BuildProgress:
    shown = BuildProgress(Console(file=printed, force_terminal=False, width=200))
    shown.plan(WORKS)
    return shown


def test_what_two_parts_need_is_counted_once(shown: BuildProgress) -> None:
    assert shown.told() == "0 of 2 packages"
    shown.compiled("one", SHARED)
    assert (shown.share, shown.told()) == (0.6, "1 of 2 packages")
    shown.part_done("two", WORKS["two"])
    assert shown.share == 0.7


def test_all_of_it_is_done_in_the_end(shown: BuildProgress) -> None:
    for name, work in WORKS.items():
        shown.part_done(name, work)
    assert shown.share == 1


def test_the_time_left_is_told_from_what_the_rest_weighs(shown: BuildProgress, clock: Clock) -> None:
    shown.compiled("one", SHARED)
    clock.now += 540
    assert shown.told() == "1 of 2 packages, 6 min left"
    shown.linked("one", "one")
    shown.part_done("one", WORKS["one"])
    assert shown.told() == "2 of 2 packages, 60 s left"


def test_without_a_terminal_a_line_comes_each_half_minute(
    shown: BuildProgress, clock: Clock, printed: io.StringIO
) -> None:
    shown.compiled("one", SHARED)
    clock.now += 29
    shown.tick()
    assert printed.getvalue() == ""
    clock.now += 1
    shown.tick()
    shown.tick()
    assert printed.getvalue() == "one: shared: 60%, 1 of 2 packages, 20 s left\n"


def test_a_download_is_told_before_anything_can_be_counted(clock: Clock, printed: io.StringIO) -> None:
    shown = BuildProgress(Console(file=printed, force_terminal=False, width=200))
    clock.now += 31
    shown.download("go: downloading example.com/module v1.0.0")
    assert printed.getvalue() == "downloading modules: 1 modules\n"


@pytest.mark.parametrize(
    ("path", "binary"),
    [
        ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
        ("go.etcd.io/etcd/server/v3", "server"),
        ("sandbox.test/tools/engine/x", "x"),
    ],
)
def test_a_binary_is_named_as_go_names_it(path: str, binary: str) -> None:
    assert binary_of(path) == binary


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Part]:
    """A Go module of one command with a package of its own, whose `Text` is what is given; an own cache."""
    if shutil.which("go"):
        monkeypatch.setenv("GOCACHE", pins.go_settings()["GOCACHE"])  # what is compiled of Go's own library
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(pins, "MODULES", tmp_path)

    def make(text: str) -> Part:
        directory = tmp_path / "hello"
        (directory / "cmd" / "hello").mkdir(parents=True, exist_ok=True)
        (directory / "go.mod").write_text("module example.com/hello\n\ngo 1.26\n")
        (directory / "text.go").write_text(f"package hello\n\nconst Text = {text}\n")
        (directory / "notes.yml").write_text("a: b\n")
        (directory / "cmd" / "hello" / "main.go").write_text(
            'package main\n\nimport "example.com/hello"\n\nfunc main() { print(hello.Text) }\n'
        )
        return Part("hello", "hello", ("./cmd/hello",), (("", "notes.yml"),))

    return make


@pytest.mark.sandbox
def test_a_part_is_built_once_and_what_is_compiled_is_not_counted_again(
    module: Callable[[str], Part], tmp_path: Path
) -> None:
    part = module(f'"{tmp_path}"')
    before = {package.path for package in work_of(part, print).packages}
    assert {"example.com/hello", "example.com/hello/cmd/hello"} <= before
    build.provide([part])
    assert (part.directory / "files" / "notes.yml").read_text() == "a: b\n"
    binary = part.directory / "bin" / "hello"
    built = binary.stat().st_ino
    build.provide([part])
    assert binary.stat().st_ino == built
    assert "example.com/hello" not in {package.path for package in work_of(part, print).packages}


@pytest.mark.sandbox
def test_a_build_that_fails_says_why_and_leaves_no_part(module: Callable[[str], Part]) -> None:
    part = module("nonsense")
    with pytest.raises(ToolchainError, match=r"go install failed for hello:[^$]*undefined: nonsense"):
        build.provide([part])
    assert not part.directory.exists()
