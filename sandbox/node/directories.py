"""The directories of the node: what the kubelet sees as its own, and what containers are staged in."""

from __future__ import annotations

import shutil
from pathlib import Path

from sandbox.layout import Layout
from sandbox.node.kubelet_init import LOGS, ROOT
from sandbox.node.runtime import namespaces as ns


class ForeignPathError(Exception):
    """A path that is not in one of the kubelet's directories."""


class NodeDirectories:
    """The directories below `Layout.pods`."""

    def __init__(self, layout: Layout) -> None:
        """`layout` is the sandbox's."""
        self.kubelet = layout.pods / "kubelet"
        """What the kubelet sees at its `ROOT`."""
        self.logs = layout.container_logs
        """What it sees at `LOGS`."""
        self.stages = layout.pods / "stages"
        """An empty directory for each container, on which its root filesystem is mounted."""
        self.pulled_images = layout.pods / "images"

    def make(self) -> None:
        """Make them; what a node left of containers and mounts that are no more is removed.

        The logs stay, by which the kubelet tells how often a container was restarted before.
        """
        for left in (self.kubelet, self.stages):
            shutil.rmtree(left, ignore_errors=True)
        for directory in (self.kubelet, self.logs, self.stages, self.pulled_images):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def share(self) -> None:
        """Have mounts in the kubelet's directory seen in mount namespaces that are made from this one."""
        ns.mount(None, "/", flags=ns.MS_REC | ns.MS_PRIVATE)
        ns.bind(str(self.kubelet), str(self.kubelet), read_only=False)
        ns.mount(None, str(self.kubelet), flags=ns.MS_SHARED)

    def pod(self, uid: str) -> Path:
        """Return the directory in which the kubelet keeps what the pod's containers are given."""
        return self.kubelet / "pods" / uid

    def outside(self, path: str) -> Path:
        """Return what the kubelet calls `path`. Raises ForeignPathError."""
        for inner, outer in ((ROOT, self.kubelet), (LOGS, self.logs)):
            if Path(path).is_relative_to(inner):
                return outer / Path(path).relative_to(inner)
        raise ForeignPathError(path)
