"""An archive of built tools, for whoever would otherwise build the same: `make tools-archive`, `SANDBOX_TOOLS=FILE`.

A gzipped tar: `manifest.json`, an object with the `platform` and the `parts`' keys by name, then the parts' files.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
import zlib
from pathlib import Path

from sandbox.tools.pins import PARTS, Part, ToolchainError, go_platform

MANIFEST = "manifest.json"
_COMPRESSION = 1
"""A third of the size in a quarter of a minute; more takes minutes for little."""
_REMEDY = (
    "`make tools-archive` in this checkout, on a machine like this one, writes one that fits; without SANDBOX_TOOLS "
    "the tools are built"
)


def write(file: Path, parts: list[Part]) -> None:
    """Write `parts`, which are built, to `file`, whole or not at all."""
    manifest = json.dumps({"platform": go_platform(), "parts": {part.name: part.key for part in parts}}).encode()
    new = file.with_name(f"{file.name}.new")
    with tarfile.open(new, "w:gz", compresslevel=_COMPRESSION) as tar:
        about = tarfile.TarInfo(MANIFEST)
        about.size = len(manifest)
        tar.addfile(about, io.BytesIO(manifest))
        for part in parts:
            tar.add(part.directory, part.directory.name)
    new.replace(file)


def take(file: Path, wanted: list[Part]) -> list[Part]:
    """Put those of `wanted` that the archive `file` has into the cache, and return them.

    Raises ToolchainError if it is no whole archive, or of another platform or other pins than this checkout's.
    """
    try:
        with tarfile.open(file, "r:gz") as tar:
            found = _checked(file, tar)
            taken = [part for part in wanted if part.name in found]
            for part in taken:
                shutil.rmtree(_unfinished(part), ignore_errors=True)
                for directory in ("bin", "files"):
                    (_unfinished(part) / directory).mkdir(parents=True)
            _extract(tar, {part.directory.name: part for part in taken})
    except FileNotFoundError as error:
        raise ToolchainError(f"SANDBOX_TOOLS={file}: there is no such file: {_REMEDY}") from error
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, KeyError) as error:
        raise ToolchainError(f"SANDBOX_TOOLS={file} is no whole archive of tools ({error}): {_REMEDY}") from error
    for part in taken:
        _unfinished(part).rename(part.directory)
    return taken


def _unfinished(part: Part) -> Path:
    return part.directory.with_name(f"{part.directory.name}.unfinished")


def _checked(file: Path, tar: tarfile.TarFile) -> set[str]:
    """The names of the parts that the archive has."""
    first = tar.next()
    if first is None or first.name != MANIFEST:
        raise ValueError(f"it does not begin with {MANIFEST}")
    content = tar.extractfile(first)
    manifest = json.loads(content.read() if content else b"")
    if manifest["platform"] != go_platform():
        raise ToolchainError(
            f"SANDBOX_TOOLS={file} has tools for {manifest['platform']}, and this machine is {go_platform()}: {_REMEDY}"
        )
    keys = {part.name: part.key for part in PARTS}
    other = [name for name, key in manifest["parts"].items() if keys.get(name) != key]
    if other:
        raise ToolchainError(
            f"SANDBOX_TOOLS={file} has {', '.join(other)} of other pins than this checkout's: {_REMEDY}"
        )
    return set(manifest["parts"])


def _extract(tar: tarfile.TarFile, parts: dict[str, Part]) -> None:
    """Write the members of `parts`, by their directories' names; any other is passed over."""
    for member in tar:
        match = re.fullmatch(r"([\w.-]+)/(bin|files)/(\w[\w.-]*)", member.name)
        content = tar.extractfile(member) if match and member.isfile() and match[1] in parts else None
        if match and content:
            target = _unfinished(parts[match[1]]) / match[2] / match[3]
            with target.open("wb") as out:
                shutil.copyfileobj(content, out)
            target.chmod(0o755 if match[2] == "bin" else 0o644)
