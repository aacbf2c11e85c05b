"""What the machine must have for a sandbox, looked at in a second before anything is built.

`python -m sandbox.machine` imports nothing that has to be installed first.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import platform
import re
import shutil
import socket
import sys
from pathlib import Path

from sandbox.layout import DEFAULT_NETWORK, PORTS, Layout, cache_directory
from sandbox.node.runtime.namespaces import what_forbids_namespaces
from sandbox.tools.pins import ARCHIVE, go_settings, missing_parts, what_go_lacks

MACHINES = ("x86_64", "aarch64")
KERNEL = (5, 12)
"""The first release with mount_setattr(2)."""

GIB = 2**30
MEMORY_TO_RUN, MEMORY_TO_BUILD = 2 * GIB, 5 * GIB
"""Seen: 1.0 GiB by all processes of a sandbox with a stack; 3.5 GiB by the linking of the Kubernetes provider alone."""
DISK_TO_RUN, DISK_TO_BUILD, DISK_FOR_MODULES = GIB, 7 * GIB, 6 * GIB
"""Seen: tools 0.8 GiB; after a cold build 7.2 GiB in Go's build cache and 5.8 GiB in its module cache."""


INOTIFY_INSTANCES = 16
"""Seen: 5 by the kubelet, 2 by each other part of the control plane; 9 kubelets at once are beyond the usual 128."""

INTRODUCTION = "this machine can't run the sandbox yet:"


class MachineError(Exception):
    """The machine lacks something. The message has a line for each: what is missing, and the command that helps."""


def require(layout: Layout) -> None:
    """Raise MachineError if anything is missing that `layout` needs to start; one that runs has it."""
    if not _runs(layout) and (missing := [*what_is_missing(), *missing_addresses(layout)]):
        raise MachineError("\n  * ".join([INTRODUCTION, *missing]))


def what_is_missing(proc: Path = Path("/proc")) -> list[str]:
    """Return what the machine lacks whatever the sandbox's addresses, a line each.

    `proc` is where the kernel tells of itself, proc(5).
    """
    system, machine, release = platform.system(), platform.machine(), platform.release()
    if system != "Linux" or machine not in MACHINES:
        return [
            f"the sandbox needs Linux on amd64 or arm64, and this is {system} on {machine}: run it in a Linux "
            "virtual machine, or in the dev container of this repository"
        ]
    missing = []
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers and (int(numbers[1]), int(numbers[2])) < KERNEL:
        missing.append(f"Linux {release} is older than {KERNEL[0]}.{KERNEL[1]}: sudo apt-get dist-upgrade, and restart")
    missing += what_forbids_namespaces(proc)
    builds = bool(missing_parts()) and ARCHIVE not in os.environ
    if builds and (lacking := what_go_lacks()):
        missing.append(lacking)
    missing += _inotify()
    missing += _memory(proc, MEMORY_TO_BUILD if builds else MEMORY_TO_RUN)
    missing += _disk(builds=builds and bool(shutil.which("go")))
    if importlib.util.find_spec("ensurepip") is None:
        missing.append("Python's venv module is not whole (ensurepip is missing): sudo apt-get install python3-venv")
    return missing


def missing_addresses(layout: Layout) -> list[str]:
    """Return which of the addresses and ports of `layout` can't be had, a line each."""
    missing = []
    for port, what in PORTS.items():
        try:
            with socket.create_server((layout.address, port)):
                pass
        except OSError as error:
            other = layout.network % 254 + 1
            missing.append(
                f"{layout.address}:{port} ({what}) is taken ({error.strerror}): `ss -ltnp 'sport = :{port}'` "
                f"shows by whom; or take other addresses: .venv/bin/python -m sandbox --network {other} show"
            )
    try:
        with socket.create_server((layout.address, 0)) as server, socket.create_connection(server.getsockname()):
            pass
    except OSError as error:
        missing.append(f"the address {layout.address} does not answer ({error.strerror}): sudo ip link set lo up")
    return missing


def _runs(layout: Layout) -> bool:
    try:
        recorded = json.loads((layout.directory / "processes.json").read_text())
    except FileNotFoundError:
        return False
    return any(Path("/proc", str(process["pid"])).exists() for process in recorded)


def _inotify() -> list[str]:
    libc = ctypes.CDLL(None, use_errno=True)
    instances = [libc.inotify_init() for _ in range(INOTIFY_INSTANCES)]
    reason = os.strerror(ctypes.get_errno())
    for instance in instances:
        if instance >= 0:
            os.close(instance)
    if min(instances) >= 0:
        return []
    return [
        f"fewer than {INOTIFY_INSTANCES} inotify instances are free ({reason}), and the kubelet needs them: "
        "sudo sysctl -w fs.inotify.max_user_instances=512"
    ]


def _memory(proc: Path, needed: int) -> list[str]:
    numbers = dict(re.findall(r"^(\w+): +(\d+) kB$", (proc / "meminfo").read_text(), re.MULTILINE))
    available = int(numbers["MemAvailable"]) * 1024
    limit, used = (Path("/sys/fs/cgroup", name) for name in ("memory.max", "memory.current"))
    if limit.exists() and (most := limit.read_text().strip()).isdigit():
        available = min(available, int(most) - int(used.read_text()))
    if available >= needed:
        return []
    return [
        f"{available / GIB:.1f} GiB of memory are free, and {needed / GIB:.0f} GiB are needed: "
        "`ps -eo rss,pid,args --sort=-rss | head` shows what takes it"
    ]


def _disk(*, builds: bool) -> list[str]:
    needed = {cache_directory(): DISK_TO_RUN}
    if builds:
        go = go_settings()
        needed |= {Path(go["GOCACHE"]): DISK_TO_BUILD, Path(go["GOMODCACHE"]): DISK_FOR_MODULES}
    by_device: dict[int, list[Path]] = {}
    for directory in needed:
        existing = next(path for path in (directory, *directory.parents) if path.exists())
        by_device.setdefault(existing.stat().st_dev, []).append(directory)
    missing = []
    for directories in by_device.values():
        wanted = sum(needed[directory] for directory in directories)
        existing = next(path for path in (directories[0], *directories[0].parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if free < wanted:
            missing.append(
                f"{free / GIB:.1f} GiB of disk are free below {existing}, and {wanted / GIB:.0f} GiB are needed for "
                f"{', '.join(map(str, directories))}: `du -sh {existing}/* | sort -h` shows what takes it, "
                "XDG_CACHE_HOME, GOCACHE and GOMODCACHE name other places"
            )
    return missing


def main() -> None:
    """Exit with what is missing for the default sandbox, if anything is."""
    try:
        require(Layout("default", DEFAULT_NETWORK))
    except MachineError as error:
        sys.exit(f"error: {error}")
    print("this machine has what the sandbox needs")


if __name__ == "__main__":
    main()
