"""Builds the pinned tools of the sandbox from public Go modules, once, into a cache outside the checkout."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console

from sandbox.tools import archive
from sandbox.tools.assembly import Toolchain, assemble
from sandbox.tools.installed import installed
from sandbox.tools.packages import Work, tail, work_of
from sandbox.tools.pins import (
    ARCHIVE,
    PARTS,
    Part,
    ToolchainError,
    go_environment,
    parts_in_use,
    tools_directory,
    what_go_lacks,
)
from sandbox.tools.progress import BuildProgress

POLL_SECONDS = 0.5


@functools.cache
def toolchain(*names: str) -> Toolchain:
    """The tools of this checkout's pins, built first if they never were (10 to 40 minutes on 2 cores).

    `names` are those of the parts that are needed; without any it is all of them. Raises ToolchainError if Go is
    missing or too old, or if the build fails.
    """
    parts = [part for part in PARTS if not names or part.name in names]
    with locked():
        provide(parts)
        return assemble(parts)


def tools_in_use(*also: str) -> Toolchain:
    """The tools that `make sandbox` needs. What was never built, and the user has not installed, is built first.

    `also` names parts on request that are needed with them. Raises ToolchainError.
    """
    with locked():
        parts = [*parts_in_use(), *(part for part in PARTS if part.name in also)]
        _take_from_archive(parts)
        missing = {part.name for part in _missing(parts)}
        used = [own for own in (installed() if missing else []) if own.parts <= missing]
        if used:
            print(f"Not built, as you have them already: {', '.join(own.what for own in used)}", file=sys.stderr)
        parts = [part for part in parts if not any(part.name in own.parts for own in used)]
        provide(parts)
        return assemble(parts, used)


def write_archive(file: Path) -> None:
    """Write the tools that are built to `file`, those that `make sandbox` needs built first. Raises ToolchainError."""
    with locked():
        provide(parts_in_use())
        archive.write(file, [part for part in PARTS if part.directory.exists()])


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Let one process at a time build, or write, what is in the cache."""
    tools_directory().mkdir(parents=True, exist_ok=True)
    with (tools_directory() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def provide(parts: Iterable[Part]) -> None:
    """Have every one of `parts` in the cache: from the archive that SANDBOX_TOOLS names, else built.

    Raises ToolchainError.
    """
    _take_from_archive(parts)
    if missing := _missing(parts):
        if lacking := what_go_lacks():
            raise ToolchainError(lacking)
        _build(missing)


def _take_from_archive(parts: Iterable[Part]) -> None:
    if (missing := _missing(parts)) and (file := os.environ.get(ARCHIVE)):
        archive.take(Path(file), missing)


def _missing(parts: Iterable[Part]) -> list[Part]:
    return [part for part in parts if not part.directory.exists()]


def _build(parts: list[Part]) -> None:
    console = Console(stderr=True)  # `make env` prints for a shell
    console.print(
        f"Building the sandbox's tools, once: {', '.join(part.name for part in parts)}. If nothing is cached, all of "
        "them take 10 to 40 minutes on 2 cores. What is done stays done, also if you stop it.",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    with BuildProgress(console) as progress:
        works = {part.name: work_of(part, progress.download) for part in parts}
        progress.plan(works)
        for part in parts:
            unfinished = part.directory.with_name(f"{part.directory.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _install(part, unfinished / "bin", works[part.name], progress)
            _keep_files(part, unfinished / "files")
            unfinished.rename(part.directory)


def _install(part: Part, binaries: Path, work: Work, progress: BuildProgress) -> None:
    """`go install`, which says each package as it begins with it, and puts a binary in its place once it is linked."""
    binaries.mkdir(parents=True)
    command = ["go", "install", "-v", *part.build_flags, *part.packages]
    packages = {package.path: package for package in work.packages}
    left = set(work.links)
    output: list[str] = []
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    with subprocess.Popen(
        command, cwd=part.sources, env=go_environment() | {"GOBIN": str(binaries)}, stderr=subprocess.PIPE, text=True
    ) as build:
        reader = threading.Thread(target=lambda: [lines.put(line) for line in build.stderr or ()], daemon=True)
        reader.start()
        while reader.is_alive() or not lines.empty():
            with contextlib.suppress(queue.Empty):
                line = lines.get(timeout=POLL_SECONDS)
                if line.strip() in packages:
                    progress.compiled(part.name, packages[line.strip()])
                else:
                    output.append(line)
            for binary in {path.name for path in binaries.iterdir()} & left:
                left.remove(binary)
                progress.linked(part.name, binary)
            progress.tick()
    if build.returncode:
        raise ToolchainError(f"go install failed for {part.name}:\n{tail(output)}")
    progress.part_done(part.name, work)


def _keep_files(part: Part, directory: Path) -> None:
    directory.mkdir()
    for module, path in part.files:
        command = ["go", "list", "-m", "-f", "{{.Dir}}", module]
        source = (
            Path(
                subprocess.run(
                    command, cwd=part.sources, env=go_environment(), capture_output=True, text=True, check=True
                ).stdout.strip()
            )
            if module
            else part.sources
        )
        shutil.copyfile(source / path, directory / Path(path).name)
