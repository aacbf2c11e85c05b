"""A former commit of this repository, checked out beside it."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from sandbox.lifecycle import CHECKOUT
from sandbox.stack import PROGRAM, STACK


class FormerCommitError(Exception):
    """There is no such commit, or no program in it. The message says what to give."""


@contextlib.contextmanager
def former_checkout(commit: str) -> Iterator[Path]:
    """The directory of a worktree of `commit`, a commit or tag; it is removed at the end.

    Raises FormerCommitError.
    """
    if not commit:
        raise FormerCommitError("say which commit or tag the stack is of: make upgrade FROM=<commit or tag>")
    try:
        found = git("rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}")
    except FormerCommitError as error:
        raise FormerCommitError(
            f"FROM is {commit!r}, but must be a commit or tag of this repository\n{error}"
        ) from error
    with tempfile.TemporaryDirectory(prefix="former-checkout-") as directory:
        checkout = Path(directory) / "checkout"
        try:
            git("worktree", "add", "--quiet", "--detach", str(checkout), found)
            needed = [*PROGRAM, f"Pulumi.{STACK}.yaml"]
            if missing := [part for part in needed if not (checkout / part).exists()]:
                raise FormerCommitError(
                    f"FROM is {commit!r}, but that commit lacks {', '.join(missing)}: give a later one"
                )
            yield checkout
        finally:
            git("worktree", "remove", "--force", str(checkout))


def subject(checkout: Path) -> str:
    """The commit that is checked out, in a line: its abbreviated name and its subject."""
    return git("-C", str(checkout), "show", "--no-patch", "--format=%h %s")


def known_settings(checkout: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the settings that a checkout declares in its Pulumi.yaml, where former ones name the project, too."""
    declared = yaml.safe_load((checkout / "Pulumi.yaml").read_text())["config"]
    known = {key.rpartition(":")[2] for key in declared}
    return {key: value for key, value in settings.items() if key in known}


def git(*arguments: str) -> str:
    """What git prints. Raises FormerCommitError with what it says of a failure."""
    done = subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FormerCommitError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()
