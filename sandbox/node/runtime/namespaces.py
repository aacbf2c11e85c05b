"""Linux namespaces and mounts for the node's containers, through libc: Python has them from 3.12 on only.

Everything is done inside a user namespace of its own, so that it needs no privileges and works the same as root.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

NEWNS = 0x00020000
NEWUTS = 0x04000000
NEWIPC = 0x08000000
NEWUSER = 0x10000000
NEWPID = 0x20000000
NEWNET = 0x40000000
"""Flags of unshare(2), from <linux/sched.h>."""

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SHARED = 0x100000
MNT_DETACH = 0x2
"""Flags of mount(2) and umount2(2), from <linux/mount.h>."""

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
"""Options of prctl(2), from <linux/prctl.h>."""

SYS_MOUNT_SETATTR = 442
MOUNT_ATTR_RDONLY = 0x1
AT_FDCWD = -100
AT_RECURSIVE = 0x8000

_NAMESPACES = "user", "net", "pid", "mnt", "ipc", "uts"
_FORBIDDING_SETTINGS = (
    ("kernel.unprivileged_userns_clone", "0", "1"),  # Debian
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu
    *((f"user.max_{kind}_namespaces", "0", "10000") for kind in _NAMESPACES),
)
"""Settings of the kernel, each with the value that forbids namespaces and one that does not."""

_libc = ctypes.CDLL(None, use_errno=True)


def _call(function: str, *arguments: int | bytes | str | ctypes.Array | ctypes.Structure | None) -> None:
    """Call `function` of libc; raise OSError with the function's name if it fails."""
    plain = [os.fsencode(value) if isinstance(value, str) else value for value in arguments]
    typed = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in plain]
    if getattr(_libc, function)(*typed) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{function}{tuple(a for a in arguments if isinstance(a, str | int))}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces."""
    _call("unshare", flags)


def setns(fd: int) -> None:
    """Move the calling thread into the namespace that `fd` refers to."""
    _call("setns", fd, 0)


def new_user_namespace(uid: int, gid: int, flags: int = 0) -> None:
    """Enter a new user namespace (and those of `flags`, owned by it) as `uid` and `gid`, with all capabilities in it.

    Both are mapped to the user who calls: the only mapping that everybody may make. The process must have one thread.
    """
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    unshare(NEWUSER | flags)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    """mount(2)."""
    _call("mount", source, target, kind, flags, options)


def bind(source: str, target: str, *, read_only: bool) -> None:
    """Mount `source` (file or directory, with what is mounted below it) on `target`."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        make_read_only(target, recursive=True)


def make_read_only(path: str, *, recursive: bool) -> None:
    """Make the mount at `path` read-only, keeping its other attributes. Needs Linux 5.12."""
    _set_attributes(path, MOUNT_ATTR_RDONLY, 0, recursive=recursive)


def make_writable(path: str) -> None:
    """Take back what `make_read_only` did to the mount at `path`, and to those below. Needs Linux 5.12."""
    _set_attributes(path, 0, MOUNT_ATTR_RDONLY, recursive=True)


def _set_attributes(path: str, added: int, removed: int, *, recursive: bool) -> None:
    attributes = (ctypes.c_uint64 * 4)(added, removed, 0, 0)  # struct mount_attr: set, clear, propagation, userns
    flags = AT_RECURSIVE if recursive else 0
    _call("syscall", SYS_MOUNT_SETATTR, AT_FDCWD, path, flags, attributes, ctypes.sizeof(attributes))


def change_root(new_root: str, old_root: str) -> None:
    """Make `new_root` (a mount) the root directory, and the former one reachable at `old_root` below it."""
    _call("pivot_root", new_root, old_root)
    os.chdir("/")


def detach(path: str) -> None:
    """Take the mount at `path`, and all below it, out of the mount namespace."""
    _call("umount2", path, MNT_DETACH)


def prctl(option: int, value: int, other: int = 0) -> None:
    """prctl(2) with one argument or two."""
    _call("prctl", option, value, other, 0, 0)


class NamespacesForbiddenError(Exception):
    """This machine lets the present user make no namespaces."""


def require_user_namespaces() -> None:
    """Raise NamespacesForbiddenError, naming what forbids them and the remedy, if containers can't be isolated here."""
    forbidding = what_forbids_namespaces()
    if forbidding:
        raise NamespacesForbiddenError("\n".join(forbidding))


def what_forbids_namespaces(proc: Path = Path("/proc")) -> list[str]:
    """Return why the present user can't make namespaces here, a line each with the remedy; none if he can.

    It is tried, not guessed. `proc` is the file system in which the kernel tells what it forbids.
    """
    trial = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    if trial.returncode == 0:
        return []
    reason = trial.stderr.strip().rpartition("\n")[2] or f"exit code {trial.returncode}"
    found = [
        f"{name} is {value}, which forbids namespaces ({reason}): sudo sysctl -w {name}={remedy}"
        for name, forbidden, remedy in _FORBIDDING_SETTINGS
        if (value := _read(proc / "sys" / name.replace(".", "/"))) == forbidden
    ]
    if "Seccomp:\t2" in _read(proc / "self/status").splitlines():
        found.append(
            f"a seccomp profile is in force, as containers have it, and may forbid namespaces ({reason}): "
            "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined ..."
        )
    profile = _read(proc / "self/attr/current")
    if profile.endswith("(enforce)"):
        name = profile.removesuffix(" (enforce)")
        found.append(
            f"the AppArmor profile {name} is in force and may forbid namespaces ({reason}): "
            "docker run --security-opt apparmor=unconfined --security-opt seccomp=unconfined ..."
        )
    return found or [
        f"this user can make no user and network namespaces ({reason}): unshare --user --net --map-root-user"
    ]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip("\0\n ")
    except OSError:
        return ""


if __name__ == "__main__":
    new_user_namespace(0, 0, NEWNS | NEWNET | NEWPID | NEWIPC | NEWUTS)
    mount("tmpfs", "/tmp", "tmpfs")  # noqa: S108 (in a mount namespace of its own)
