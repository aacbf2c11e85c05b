"""An image's layers laid over each other in a directory that becomes a container's root filesystem.

The rules are those of the OCI image specification (layer.md): whiteouts hide what lower layers have, a file replaces a
file. `crane export` is not used for it: it does not read a layer to the end, where its digest is checked, and does not
know opaque whiteouts. Nothing outside of the directory is ever written, whatever names and links a layer has.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
MAXIMUM_LINKS = 40
"""Symbolic links that a path may lead through: the kernel's limit."""


class LayerError(Exception):
    """A layer is not one that can be laid out; says why."""


def resolve(root: Path, name: str) -> Path:
    """Return where `name` leads for a process whose root directory is `root`: always below it.

    Raises OSError if it leads through too many symbolic links.
    """
    here, links = root, 0
    parts = list(reversed(PurePosixPath(name).parts))
    while parts:
        part = parts.pop()
        if part == "/":
            here = root
        elif part == "..":
            here = here.parent if here != root else root
        elif (here / part).is_symlink():
            links += 1
            if links > MAXIMUM_LINKS:
                raise OSError(f"{name} leads through more than {MAXIMUM_LINKS} symbolic links")
            parts.extend(reversed((here / part).readlink().parts))
        else:
            here = here / part
    return here


def lay_out(layers: list[Path], root: Path) -> None:
    """Lay the tar archives `layers`, the lowest first, compressed or not, over each other in the empty `root`.

    Files keep their modes, and belong to whoever calls. Device files are left out: a container has its own.
    Raises LayerError.
    """
    modes: dict[Path, int] = {}
    for layer in layers:
        try:
            with tarfile.open(layer) as archive:
                members = archive.getmembers()
                for member in members:
                    _hide(root, member)
                for member in members:
                    _extract(archive, member, root, modes)
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise LayerError(f"layer {layer.name} can't be unpacked: {error}") from error
    # At the end, as a directory may not be writable even for its owner. It stays so for him: to be deleted one day.
    for directory, mode in modes.items():
        if directory.is_dir() and not directory.is_symlink():
            directory.chmod(mode | 0o700)


def _place(root: Path, name: str) -> Path:
    """Return where a layer's entry `name` belongs. Raises LayerError if that is outside of `root`."""
    path = PurePosixPath(name.lstrip("/"))
    if ".." in path.parts:
        raise LayerError(f"entry {name!r} leaves the root directory")
    return resolve(root, str(path.parent)) / path.name


def _hide(root: Path, member: tarfile.TarInfo) -> None:
    """Remove what a whiteout hides; `member` is one if its name says so."""
    name = PurePosixPath(member.name).name
    if not name.startswith(WHITEOUT):
        return
    place = _place(root, member.name)
    if name == OPAQUE:
        for hidden in list(place.parent.iterdir()) if place.parent.is_dir() else []:
            _remove(hidden)
    elif (hidden := name.removeprefix(WHITEOUT)) not in ("", ".", ".."):
        _remove(place.with_name(hidden))


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, root: Path, modes: dict[Path, int]) -> None:
    place = _place(root, member.name)
    if place == root or place.name.startswith(WHITEOUT) or (member.isdev() and not member.isfifo()):
        return
    _make_parents(root, place.parent)
    if member.isdir():
        modes[place] = member.mode
        if place.is_dir() and not place.is_symlink():
            return
    _remove(place)
    if member.islnk():
        source = _place(root, member.linkname)
        os.link(source, place, follow_symlinks=False)
        return

    def placed(entry: tarfile.TarInfo, _: str) -> tarfile.TarInfo:
        mode = 0o700 if entry.isdir() else entry.mode
        name = str(place.relative_to(root))
        return entry.replace(name=name, mode=mode, uid=None, gid=None, uname=None, gname=None, deep=False)  # pyright: ignore[reportArgumentType]

    archive.extract(member, root, filter=placed)


def _make_parents(root: Path, directory: Path) -> None:
    """Make the directories that the layer doesn't have itself, in place of what may be there."""
    for one in reversed([directory, *directory.parents]):
        if one.is_relative_to(root) and one != root and not one.is_dir():
            one.unlink(missing_ok=True)
            one.mkdir(mode=0o755)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
