"""Someone who follows a document: runs the commands of its blocks in the order in which they stand, at a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pexpect

from sandbox.lifecycle import CHECKOUT
from tests.end_to_end import docker_by_crane
from tests.waiting import COMMAND_SECONDS

CONFIRMATION = "Do you want to perform this [a-z]+\\?"
PASSWORD = "Password: "
TERMINAL = "screen"
"""What the terminal says it is: one that is not asked for its colours, which would be waited for."""
_NO_TEXT = re.compile(r"\r|\x1b(\[[0-9;?]*[A-Za-z]|\][^\x1b\a]*(\x1b\\|\a))")


def commands(document: str, heading: str = "") -> list[str]:
    """What the code blocks of `document` have people run, a line each; only those below `heading`, if it is given.

    Lines that begin with a space are a drawing's.
    """
    section = document
    if heading:
        level = heading.partition(" ")[0]
        _, found, rest = document.partition(f"\n{heading}\n")
        assert found, f"there is no heading {heading!r}"
        section = re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    lines = "".join(re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)).splitlines()
    return [line for line in lines if line and not line.startswith(" ")]


def copy_of_the_checkout(directory: Path) -> Path:
    """What someone has who has cloned the repository, with what is not committed yet, in the new `directory`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).exists():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes((CHECKOUT / name).read_bytes())
    return directory


def lay_docker(directory: Path) -> None:
    """Lay a program `docker` into `directory`."""
    program = directory / "docker"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{docker_by_crane.__file__}" "$@"\n')
    program.chmod(0o755)


@dataclass
class Reader:
    """Someone in `directory` with `environment`, who answers what he is asked.

    In what he reads he replaces as `replacements` says. `answers` has what he types at a prompt, once in a command, by
    a regular expression for the prompt.
    """

    directory: Path
    environment: dict[str, str]
    replacements: Mapping[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=lambda: {CONFIRMATION: "yes"})

    def run(self, command: str, *, fails: bool = False) -> str:
        """Run a command, and return what the terminal showed, in plain text; what is asked is answered.

        It must succeed, or, if `fails`, it must not.
        """
        for text, other in self.replacements.items():
            command = command.replace(text, other)
        print(f"$ {command}")
        environment = os.environ | self.environment | {"TERM": TERMINAL}
        began = time.monotonic()
        terminal = pexpect.spawn(
            "bash", ["-c", command], cwd=str(self.directory), env=environment, encoding="utf-8",
            timeout=COMMAND_SECONDS, dimensions=(50, 200), echo=False,
        )  # fmt: skip
        shown, left = "", dict(self.answers)  # a prompt is shown again as an answer is typed
        while asked := terminal.expect([pexpect.EOF, *left]):
            shown += f"{terminal.before}{terminal.after}"
            terminal.send(left.pop([*left][asked - 1]) + "\r")  # what the Enter key sends
        shown += terminal.before or ""
        terminal.close()
        shown = _NO_TEXT.sub("", shown)
        assert (terminal.exitstatus != 0) == fails, f"{command}\n{shown}"
        print(f"  {time.monotonic() - began:.0f} s")
        return shown
