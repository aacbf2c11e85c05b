"""What becomes the kubelet's process: `python -m sandbox.node.kubelet_init`, started by `kubelet.py`.

Its argument is a JSON object, `Launch`. It enters the node's network, makes a mount namespace in which nothing of the
machine can be written, sets a system call filter, and executes the kubelet, which ends when its parent does.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from sandbox.node.runtime import namespaces as ns

ROOT = "/var/lib/kubelet"
LOGS = "/var/log/pods"
"""Where the kubelet sees its directories. The first is part of the paths of Unix sockets, of 107 bytes at the most."""
PROGRAMS = "/var/lib/programs"
"""All that the kubelet may execute."""

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
BPF_LOAD_WORD, BPF_JUMP_IF_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06
OFFSET_OF_NUMBER, OFFSET_OF_ARCHITECTURE = 0, 4
"""Numbers of <linux/prctl.h>, <linux/seccomp.h> and <linux/filter.h>."""
CHOWN = {"x86_64": (0xC000003E, (92, 93, 94, 260)), "aarch64": (0xC00000B7, (54, 55))}
"""The system calls chown, fchown, lchown, fchownat: AUDIT_ARCH of <linux/audit.h>, numbers of <asm/unistd.h>."""


@dataclass(frozen=True)
class Launch:
    """What the process is started with."""

    parent: int
    """The process id of the node."""
    network: int
    """A file descriptor of the network namespace to enter."""
    root: str
    logs: str
    """The directories that the kubelet sees at `ROOT` and `LOGS`."""
    programs: dict[str, str]
    """Name to path: what is in `PROGRAMS`."""
    argv: list[str]
    """Its first is a name in `PROGRAMS`."""

    def command(self) -> list[str]:
        """Return the command that starts it."""
        return [sys.executable, "-m", __name__, json.dumps(asdict(self))]


def main() -> NoReturn:
    """Become the kubelet; see the module's docstring."""
    launch = Launch(**json.loads(sys.argv[1]))
    ns.prctl(ns.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launch.parent:
        sys.exit("the node has ended")
    ns.setns(launch.network)
    os.close(launch.network)
    ns.unshare(ns.NEWNS)
    lay_out(launch)
    succeed_without_chown()
    os.chdir("/")
    os.execve(f"{PROGRAMS}/{launch.argv[0]}", launch.argv, {"PATH": PROGRAMS})  # noqa: S606


def lay_out(launch: Launch) -> None:
    """Make the mounts: the machine's files read-only, also /proc/sys and /sys; over them the kubelet's own.

    What it mounts below `ROOT` the node sees below `Launch.root`, as that is a shared mount.
    """
    opened = {
        name: os.open(path, os.O_PATH | os.O_CLOEXEC)
        for name, path in (launch.programs | {"root": launch.root, "logs": launch.logs}).items()
    }
    ns.make_read_only("/", recursive=True)
    for directory in ("/var/lib", "/var/log"):
        ns.mount("tmpfs", directory, "tmpfs", options="mode=0755")
    for name, target in (("root", ROOT), ("logs", LOGS)):
        Path(target).mkdir()
        ns.bind(f"/proc/self/fd/{opened[name]}", target, read_only=False)
        ns.make_writable(target)
    with suppress(OSError):  # it may be hidden already
        ns.detach(launch.root)
    Path(PROGRAMS).mkdir()
    for name in launch.programs:
        Path(PROGRAMS, name).touch()
        ns.bind(f"/proc/self/fd/{opened[name]}", f"{PROGRAMS}/{name}", read_only=True)


def succeed_without_chown() -> None:
    """Have chown and its kin succeed, and do nothing, from here on: there is one user in this user namespace.

    Raises OSError.
    """
    architecture, numbers = CHOWN[platform.machine()]
    program = [
        (BPF_LOAD_WORD, 0, 0, OFFSET_OF_ARCHITECTURE),
        (BPF_JUMP_IF_EQUAL, 0, len(numbers) + 1, architecture),
        (BPF_LOAD_WORD, 0, 0, OFFSET_OF_NUMBER),
        *((BPF_JUMP_IF_EQUAL, len(numbers) - index, 0, number) for index, number in enumerate(numbers)),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxN", len(program), ctypes.addressof(code)))
    ns.prctl(ns.PR_SET_NO_NEW_PRIVS, 1)  # without it only privileged processes may set a filter
    ns.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(header))


if __name__ == "__main__":
    main()
