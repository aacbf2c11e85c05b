"""Lays the built parts of the tools out as the sandbox uses them: programs, plugins, the node's images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.node import images
from sandbox.tools.installed import Installed
from sandbox.tools.pins import PARTS, Part, tools_directory

_BINARIES = {
    "server": "etcd",
    # The engine starts the one that knows the project's options, and that one the host itself.
    "project-language-host": "pulumi-language-python",
    "pulumi-language-python": "pulumi-language-python-host",
}
"""What a binary is called where `go install` names it after its package's directory, or it stands behind another."""


@dataclass(frozen=True)
class Toolchain:
    """The built tools below `directory`."""

    directory: Path

    @property
    def binaries(self) -> Path:
        """The directory for PATH: pulumi and its language host, kubectl, crane, the control plane."""
        return self.directory / "bin"

    @property
    def plugins(self) -> Path:
        """The directory of Pulumi's resource plugins, which are not on PATH: the engine would warn of them."""
        return self.directory / "plugins"

    @property
    def manifests(self) -> Path:
        """The directory of manifests of Kubernetes objects."""
        return self.directory / "manifests"

    @property
    def images(self) -> Path:
        """A directory for each container image that the node can run (see images.py)."""
        return self.directory / "images"


def assemble(parts: list[Part], used: Sequence[Installed] = ()) -> Toolchain:
    """Return the tools with `parts` among them, which are built, and `used`, which are the user's.

    What is there already stays as it is.
    """
    tools = Toolchain(tools_directory() / "-".join([_key(), *(own.key for own in used)]))
    for directory in (tools.binaries, tools.plugins, tools.manifests, tools.images):
        directory.mkdir(parents=True, exist_ok=True)
    for part in parts:
        if part.registry:
            _lay_image(tools, part)
            continue
        for binary in (part.directory / "bin").iterdir():
            _link(binary, _place(tools, _BINARIES.get(binary.name, binary.name)))
        for file in (part.directory / "files").iterdir():
            if file.suffix == ".yaml":
                _link(file, tools.manifests / file.name)
                continue
            if not os.access(file, os.X_OK):
                file.chmod(0o755)  # a program too: the only one is the language host's, in Python
            _link(file, tools.binaries / file.name)
    for own in used:
        for name, program in own.programs.items():
            link = _place(tools, name)
            if not link.is_symlink():
                link.symlink_to(program)
    return tools


def _place(tools: Toolchain, program: str) -> Path:
    return (tools.plugins if program.startswith("pulumi-resource-") else tools.binaries) / program


def _key() -> str:
    """Names the tools by all of their parts, and by how they are laid out."""
    digest = hashlib.sha256(repr([(part.name, part.key, part.registry) for part in PARTS]).encode())
    for source in (__file__, images.__file__):
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()[:16]


def _link(source: Path, target: Path) -> None:
    """A hard link: it takes no room, and the program finds what stands beside it."""
    if not target.exists():
        new = target.with_name(f".{target.name}.new")
        new.unlink(missing_ok=True)
        os.link(source, new)
        new.rename(target)


def _lay_image(tools: Toolchain, part: Part) -> None:
    registry = part.registry
    directory = tools.images / part.name
    if registry and not directory.exists():
        binary = part.directory / "bin" / "registry"
        images.make_registry_image(
            directory,
            binary=binary,
            config_file=part.directory / "files" / registry.config,
            config_path=registry.config_path,
            references=list(registry.references),
            digest=registry.digest or f"sha256:{hashlib.sha256(binary.read_bytes()).hexdigest()}",
        )
