"""A container's user by its image: what `USER` says and the image's own /etc/passwd and /etc/group."""

from __future__ import annotations

from pathlib import Path

from sandbox.node.image_layers import resolve


class UnknownUserError(LookupError):
    """The image has no user or group of that name."""


def user_and_group(rootfs: Path, user: str) -> tuple[int, int]:
    """Return the ids that `user` (`USER` of an image: `name`, `id`, either with `:group`) means in the image.

    The group is the user's own unless there is one; root's for a number that the image does not know.
    Raises UnknownUserError.
    """
    name, _, group = user.partition(":")
    entries = _entries(rootfs, "etc/passwd", fields=7, ids=(2, 3))
    entry = next((fields for fields in entries if (name or "0") in (fields[0], fields[2])), None)
    if entry:
        uid, gid = int(entry[2]), int(entry[3])
    elif name.isdecimal() or not name:
        uid, gid = int(name or 0), 0
    else:
        raise UnknownUserError(f"unable to find user {name}: no matching entries in passwd file")
    if group.isdecimal():
        gid = int(group)
    elif group:
        groups = _entries(rootfs, "etc/group", fields=4, ids=(2,))
        found = next((fields for fields in groups if fields[0] == group), None)
        if not found:
            raise UnknownUserError(f"unable to find group {group}: no matching entries in group file")
        gid = int(found[2])
    return uid, gid


def home(rootfs: Path, uid: int) -> str:
    """Return the home directory of `uid` by the image's /etc/passwd, or `/`, as container runtimes do."""
    users = _entries(rootfs, "etc/passwd", fields=7, ids=(2,))
    return next((fields[5] for fields in users if fields[2] == str(uid)), "/")


def _entries(rootfs: Path, name: str, *, fields: int, ids: tuple[int, ...]) -> list[list[str]]:
    """The lines of a file of the image that are whole. The file may be a link, of which the image has the target."""
    try:
        text = resolve(rootfs, name).read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    entries = [line.split(":") for line in text.splitlines()]
    return [entry for entry in entries if len(entry) == fields and all(entry[place].isdecimal() for place in ids)]
