"""Images for tests: layers of random content, pushed and pulled by a real client."""

from __future__ import annotations

import itertools
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

from sandbox.demonstration import Crane, write_layer
from sandbox.tools.pins import go_platform

_numbers = itertools.count(1)


def layers(directory: Path, count: int = 1, size: int = 10_000) -> list[str]:
    """Write `count` layers of `size` random bytes each, and return crane's arguments that name them."""
    paths = [directory / f"layer-{next(_numbers)}.tar" for _ in range(count)]
    for path in paths:
        write_layer(path, os.urandom(size))
    return [argument for path in paths for argument in ("--new_layer", str(path))]


def push(crane: Crane, image: str, directory: Path, count: int = 1, size: int = 10_000) -> str:
    """Push a new image, and return the digest that the registry has of it."""
    crane("append", *layers(directory, count, size), "--new_tag", image)
    return crane("digest", image)


def push_program(crane: Crane, image: str, directory: Path, program: Path, *options: str) -> str:
    """Push an image that runs the static binary `program`, and return the digest that the registry has of it.

    `options` are those of `crane mutate`: `--cmd`, `--env`, `--user`, `--workdir`.
    """
    layer, place = directory / f"layer-{next(_numbers)}.tar", f"bin/{program.name}"
    with tarfile.open(layer, "w") as archive:
        archive.add(program, place, filter=lambda entry: entry.replace(mode=0o755, uid=0, gid=0, deep=False))
    crane("append", "--new_layer", str(layer), "--new_tag", image)
    crane("mutate", image, "--tag", image, "--set-platform", go_platform(), "--entrypoint", f"/{place}", *options)
    return crane("digest", image)


def pull(crane: Crane, image: str, directory: Path) -> str:
    """Pull all of an image, and return its digest."""
    return crane.pull(image, directory / f"pulled-{next(_numbers)}")


def pushes(crane: Crane, repository: str, directory: Path) -> Callable[[], None]:
    """A function that pushes another image to `repository` at each call."""

    def work() -> None:
        crane("append", *layers(directory), "--new_tag", f"{repository}:{next(_numbers)}")

    return work
