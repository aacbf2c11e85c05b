"""Containers are kept to their CPU and memory limits by cgroups, where the present user may make one.

Nobody is asked for a cgroup: one is made below that of this process, or of version 2 below the nearest one above it
that hands the controllers down, if the user may write there. That is so for root, and for an ordinary user below his
systemd manager. Elsewhere no limit of CPU is kept, and `memory_limit` watches.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

CONTROLLERS = ("cpu", "memory")
REMOVAL_SECONDS = 5.0
"""How long the end of processes that were killed is awaited: the kernel has to take down what they had."""
WHERE_THERE_IS_SWAP = {"memory.memsw.limit_in_bytes", "memory.swap.max"}
"""Without them a container would be over its limit in swap."""


@dataclass(frozen=True)
class Resources:
    """What a container may take. 0 is no limit."""

    cpu_quota: int = 0
    """Microseconds of CPU time in each `cpu_period`."""
    cpu_period: int = 100_000
    memory: int = 0
    """In bytes."""


@dataclass(frozen=True)
class Parent:
    """A cgroup in which others can be made, for these controllers."""

    directory: Path
    controllers: frozenset[str]
    version: int

    def settings(self, resources: Resources) -> dict[str, dict[str, str]]:
        """Return controller to the files to be written in a new cgroup, for the limits that there are.

        Names and forms: the Linux kernel's cgroup-v1/memory.rst, scheduler/sched-bwc.rst and cgroup-v2.rst.
        """
        quota, period, memory = resources.cpu_quota, resources.cpu_period, resources.memory
        found: dict[str, dict[str, str]] = {}
        if "cpu" in self.controllers and quota > 0:
            each = {"cpu.cfs_period_us": f"{period}", "cpu.cfs_quota_us": f"{quota}"}
            found["cpu"] = each if self.version == 1 else {"cpu.max": f"{quota} {period}"}
        if "memory" in self.controllers and memory > 0:
            each = {"memory.limit_in_bytes": f"{memory}", "memory.memsw.limit_in_bytes": f"{memory}"}
            whole = {"memory.max": f"{memory}", "memory.swap.max": "0", "memory.oom.group": "1"}
            found["memory"] = each if self.version == 1 else whole
        return found


def parents(cgroup: str, mountinfo: str) -> list[Parent]:
    """Return where cgroups could be made, nearest first, by what /proc/self/cgroup and /proc/self/mountinfo tell.

    A controller is of version 1 if a hierarchy of version 1 has it, as cgroups(7) says, else of version 2. One of a
    mount that does not show the process's cgroup is left out.
    """
    own = [line.split(":", 2) for line in cgroup.splitlines()]
    found: list[Parent] = []
    left = set(CONTROLLERS)
    mounts = [_mount(line) for line in mountinfo.splitlines()]
    for _, names, path in own:
        if controllers := left.intersection(names.split(",")):
            left -= controllers
            for kind, options, root, point in mounts:
                if kind == "cgroup" and controllers <= options and (directory := _below(path, root, point)):
                    found.append(Parent(directory, frozenset(controllers), 1))
                    break
    for number, _, path in own:
        for kind, _, root, point in mounts:
            if number == "0" and left and kind == "cgroup2" and (directory := _below(path, root, point)):
                above = [one for one in directory.parents if one.is_relative_to(point)]
                found += [Parent(one, frozenset(left), 2) for one in (directory, *above)]
                return found
    return found


def _mount(line: str) -> tuple[str, set[str], str, str]:
    """Type, super block's options, root and mount point of a line of /proc/self/mountinfo, see proc(5)."""
    place, _, kind = line.partition(" - ")
    fields, (name, _, options) = place.split(), kind.split(maxsplit=2)
    return name, set(options.split(",")), fields[3], fields[4]


def _below(path: str, root: str, point: str) -> Path | None:
    """Where the cgroup `path` is seen at the mount of `root` at `point`. None if it is not."""
    if not PurePosixPath(path).is_relative_to(root):
        return None
    return Path(point) / PurePosixPath(path).relative_to(root)


@dataclass(frozen=True)
class Cgroup:
    """A container's own: a directory of each hierarchy in which it has one."""

    parents: dict[Path, Parent]
    """Directory to the cgroup in which it was made."""
    limits: frozenset[str]
    """The controllers that keep the container to a limit."""

    @property
    def processes(self) -> list[Path]:
        """The files to which a process writes 0 to join."""
        return [directory / "cgroup.procs" for directory in self.parents]

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has ended one of its processes as they took more than the limit."""
        for directory, parent in self.parents.items():
            name = "memory.oom_control" if parent.version == 1 else "memory.events"
            with contextlib.suppress(OSError):
                lines = dict(line.split() for line in (directory / name).read_text().splitlines())
                return int(lines.get("oom_kill", 0)) > 0
        return False

    def remove(self) -> None:
        """Remove it when its processes, which have been killed, are gone. One that still has some then stays."""
        deadline = time.monotonic() + REMOVAL_SECONDS
        for directory in self.parents:
            while not _removed(directory) and time.monotonic() < deadline:
                time.sleep(0.01)


class Cgroups:
    """Makes the cgroups of one node's containers."""

    def __init__(self, node: Path, cgroup: str, mountinfo: str) -> None:
        """`node` is the node's directory, of which their names are made; the others as in `parents`."""
        self._prefix = f"kubernetes-registry-sandbox-{hashlib.sha256(bytes(node)).hexdigest()[:16]}"
        self._parents: list[Parent] = []
        for parent in parents(cgroup, mountinfo):
            missing = set(CONTROLLERS).difference(*(one.controllers for one in self._parents))
            if missing & parent.controllers and _may_make(parent):
                self._parents.append(parent)

    @classmethod
    def of_this_process(cls, node: Path) -> Cgroups:
        """Return those of the machine on which this runs."""
        return cls(node, Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())

    @property
    def limits(self) -> frozenset[str]:
        """The controllers for which a cgroup can be made."""
        return frozenset[str]().union(*(parent.controllers for parent in self._parents))

    @property
    def version(self) -> int:
        """Of the cgroups that are made: 1 or 2, 0 if none are."""
        return max((parent.version for parent in self._parents), default=0)

    def present(self) -> list[Path]:
        """Return the directories of all that this node, or one of the same directory, has made and not removed."""
        return [found for parent in self._parents for found in parent.directory.glob(f"{self._prefix}-*")]

    def make(self, name: str, resources: Resources) -> Cgroup:
        """Make the cgroup of a new container, whose name is its own. What can't be limited is not."""
        made: dict[Path, Parent] = {}
        limits: set[str] = set()
        for parent in self._parents:
            settings = parent.settings(resources)
            if not settings:
                continue
            directory = parent.directory / f"{self._prefix}-{name}"
            try:
                directory.mkdir()
            except OSError:
                continue
            made[directory] = parent
            for controller, files in settings.items():
                with contextlib.suppress(OSError):  # more than the parent may take, for one
                    for file, value in files.items():
                        if file not in WHERE_THERE_IS_SWAP or (directory / file).exists():
                            (directory / file).write_text(value)
                    limits.add(controller)
        return Cgroup(made, frozenset(limits))

    def tidy(self) -> None:
        """Remove what a node of the same directory has left behind, when it was killed."""
        for directory in self.present():
            _removed(directory)


def _removed(directory: Path) -> bool:
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # it has processes
        return False
    return True


def _may_make(parent: Parent) -> bool:
    if not os.access(parent.directory, os.W_OK | os.X_OK):
        return False
    if parent.version == 1:
        return True
    try:
        handed_down = (parent.directory / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False
    return parent.controllers <= set(handed_down)
