"""The Go packages that a part of the tools still has to have compiled and linked, and how much work each is."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.tools.pins import Part, ToolchainError, go_environment

_FORMAT = '{{.ImportPath}}\t{{.Dir}}\t{{.Name}}\t{{.Stale}}\t{{join .GoFiles "/"}}\t{{join .Imports " "}}'
_LINKING = 0.02
"""Linking a binary takes about as long as compiling this share of its sources: seen with the Kubernetes provider."""


@dataclass(frozen=True)
class Package:
    """A Go package; those of several parts with the same `key` (the same sources, imports too) are compiled once.

    `weight` is the size in bytes of its sources, to which the time that its compilation takes is about proportional.
    """

    path: str
    key: str
    weight: int


@dataclass(frozen=True)
class Work:
    """What a part needs: `packages` that are not compiled yet, and the weight of linking each of its binaries."""

    packages: list[Package]
    links: dict[str, int]


def work_of(part: Part, say: Callable[[str], object]) -> Work:
    """List what there is to do for `part`; a line for each module that Go downloads goes to `say`.

    Raises ToolchainError.
    """
    command = ["go", "list", "-deps", *part.build_flags, "-f", _FORMAT, *part.packages]
    with tempfile.TemporaryFile("w+") as listed:
        said = []
        with subprocess.Popen(
            command, cwd=part.sources, env=go_environment(), stdout=listed, stderr=subprocess.PIPE, text=True
        ) as listing:
            assert listing.stderr  # noqa: S101 (it is a pipe)
            for line in listing.stderr:
                said.append(line)
                say(line.strip())
        if listing.returncode:
            raise ToolchainError(f"go list failed for {part.name}:\n{tail(said)}")
        listed.seek(0)
        return _read(listed.read())


def _read(listed: str) -> Work:
    """`listed` has a package a line, after those that it imports."""
    packages: dict[str, Package] = {}
    imports: dict[str, list[str]] = {}
    to_compile, commands = [], []
    for line in listed.splitlines():
        path, directory, name, stale, files, imported = line.split("\t")
        # What the standard library has of other modules is imported by one name and listed by another.
        needed = [one if one in packages else f"vendor/{one}" for one in imported.split()]
        imports[path] = [one for one in needed if one in packages]
        keys = sorted(packages[one].key for one in imports[path])
        key = hashlib.sha256("\n".join([directory, *keys]).encode()).hexdigest()
        weight = sum((Path(directory) / file).stat().st_size for file in files.split("/") if file)
        packages[path] = Package(path, key, weight)
        if stale == "true":
            to_compile.append(packages[path])
        if name == "main":
            commands.append(path)
    links = {}
    for command in commands:
        within, left = set(), [command]
        while left:
            path = left.pop()
            if path not in within:
                within.add(path)
                left += imports[path]
        links[binary_of(command)] = int(_LINKING * sum(packages[path].weight for path in within))
    return Work(to_compile, links)


def binary_of(path: str) -> str:
    """The name of the binary that `go install` makes of the package `path`: the last part that is no version."""
    return re.sub(r"/v\d+$", "", path).rpartition("/")[2]


def tail(lines: list[str]) -> str:
    """The last lines of a command's output, for an error."""
    return "".join(lines[-20:]).rstrip()
