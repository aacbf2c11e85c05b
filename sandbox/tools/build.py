"""Builds the pinned tools of the sandbox from public Go modules, once, into a cache outside the checkout."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sandbox.layout import cache_directory
from sandbox.node import images

MODULES = Path(__file__).parent
GO_VERSION = (1, 26)
"""The Go release that the modules' go.mod ask for."""

KUBERNETES_VERSION = "v1.34.2"
_SETS = {
    "k8s.io/component-base/version.gitVersion": KUBERNETES_VERSION,
    "k8s.io/component-base/version.gitMajor": "1",
    "k8s.io/component-base/version.gitMinor": "34",
    "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": "v3.245.0",
}
"""Versions that the tools' own build scripts set at link time; without them their clients cannot read any."""


_COMPILER_FLAGS = "-gcflags=all=-l -dwarf=false"
"""Without inlining and debug data, which are no use here, the build takes a third less CPU time."""


class ToolchainError(RuntimeError):
    """The tools can't be built. The message says why, and what to do."""


@dataclass(frozen=True)
class Registry:
    """A release of the distribution registry, whose binary stands for the published image of the same release.

    `path` is its Go module, `version_variable` what tells the binary its release, `references` the image's names,
    `digest` the published image's, or None where it is not known here.
    """

    release: str
    references: tuple[str, ...]
    path: str
    version_variable: str
    digest: str | None

    @property
    def sets(self) -> dict[str, str]:
        """What is set at link time."""
        return {f"{self.path}/version.{self.version_variable}": f"v{self.release}"}


@dataclass(frozen=True)
class Module:
    """A Go module below `tools/`: `directory` there, and `packages`, the patterns that it installs.

    `registry` is the release that is among them, if one is.
    """

    directory: str
    packages: tuple[str, ...] = ("tool",)
    registry: Registry | None = None


_DISTRIBUTION_3, _DISTRIBUTION_2 = "github.com/distribution/distribution/v3", "github.com/docker/distribution"
_BUILDS = (
    Module(
        "engine",
        registry=Registry(
            "3.1.2",
            ("registry:3.1.2", "registry:3"),
            _DISTRIBUTION_3,
            "version",
            "sha256:ddf754342cfc8acc51a56d5d0ab6af06826461864460636d8bd5c546dab2a7b8",
        ),
    ),
    Module("language-host"),
    Module("random-provider", ("./pulumi-resource-random",)),
    # What stacks of former versions of the program name.
    Module(
        "registry-3.1.1",
        registry=Registry(
            "3.1.1",
            ("registry:3.1.1",),
            _DISTRIBUTION_3,
            "version",
            "sha256:1be55279f18a2fe1a74edf2664cac61c1bea305b7b4642dab412e7affdcb3e33",
        ),
    ),
    Module(
        "registry-2.8.3", registry=Registry("2.8.3", ("registry:2.8.3", "registry:2"), _DISTRIBUTION_2, "Version", None)
    ),
)


@dataclass(frozen=True)
class Toolchain:
    """The built tools below `directory`."""

    directory: Path

    @property
    def binaries(self) -> Path:
        """The directory for PATH: pulumi and its plugins, kubectl, crane, the control plane."""
        return self.directory / "bin"

    @property
    def images(self) -> Path:
        """A directory for each container image that the node can run (see images.py)."""
        return self.directory / "images"


@functools.cache
def toolchain() -> Toolchain:
    """The tools of this checkout's pins, built first if they never were (16 to 40 minutes on 2 cores).

    Raises ToolchainError if Go is missing or too old, or if the build fails.
    """
    cache = cache_directory() / "tools"
    built = Toolchain(cache / _key())
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        if not built.directory.exists():
            _check_go()
            unfinished = cache / f"{built.directory.name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            _build(Toolchain(unfinished))
            unfinished.rename(built.directory)
    return built


def _key() -> str:
    """Names the tools by what they are built from: the modules' sources, this file, and how images are laid out."""
    sources = (path for suffix in (".go", ".mod", ".sum", ".yml") for path in MODULES.rglob(f"*{suffix}"))
    named = {str(path.relative_to(MODULES)): path for path in sources}
    named |= {module.__name__: Path(str(module.__file__)) for module in (sys.modules[__name__], images)}
    digest = hashlib.sha256()
    for name, path in sorted(named.items()):
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_go() -> None:
    wanted = ".".join(str(part) for part in GO_VERSION)
    if not shutil.which("go"):
        raise ToolchainError(f"go is not on PATH, but the sandbox builds its tools with Go {wanted}: install it")
    found = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    numbers = re.match(r"go(\d+)\.(\d+)", found)
    if not numbers or (int(numbers[1]), int(numbers[2])) < GO_VERSION:
        raise ToolchainError(f"go on PATH is {found}, but must be at least {wanted}: install a newer Go")


def _go_environment(binaries: Path) -> dict[str, str]:
    # Without cgo the binaries need nothing of the system's, so that they run in an empty root file system too.
    # GOGC: the compiler spends a fifth of its time collecting garbage that a build's memory has room for.
    return os.environ | {
        "GOBIN": str(binaries),
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOGC": "400",
    }


def _build(tools: Toolchain) -> None:
    tools.binaries.mkdir(parents=True)
    console = Console()
    console.print("Building the sandbox's tools, once: 16 to 40 minutes on 2 cores if nothing of them is cached.")
    columns = (TextColumn("{task.description:<48.48}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        for module in _BUILDS:
            directory = tools.directory / module.directory
            directory.mkdir()
            _install(module, directory, progress)
    for module in _BUILDS:
        if module.registry:
            _registry_image(tools, module, module.registry)
    built = tools.directory / "engine"
    (built / "server").rename(built / "etcd")
    for directory in ("engine", "language-host", "random-provider"):
        for binary in (tools.directory / directory).iterdir():
            binary.rename(tools.binaries / binary.name)
    script = _module_directory("engine", "github.com/pulumi/pulumi/sdk/v3") / "python/cmd/pulumi-language-python-exec"
    shutil.copyfile(script, tools.binaries / script.name)
    (tools.binaries / script.name).chmod(0o755)
    for module in _BUILDS:
        shutil.rmtree(tools.directory / module.directory)


def _registry_image(tools: Toolchain, module: Module, registry: Registry) -> None:
    """Lay out the image of the registry that `module` has built."""
    binary = tools.directory / module.directory / "registry"
    if registry.path == _DISTRIBUTION_3:
        config_file = _module_directory(module.directory, registry.path) / "cmd/registry/config-dev.yml"
        config_path = "/etc/distribution/config.yml"
    else:
        # The release's own example needs a Redis, which the published image does not.
        config_file, config_path = MODULES / module.directory / "config.yml", "/etc/docker/registry/config.yml"
    images.make_registry_image(
        tools.images / f"registry-{registry.release}",
        binary=binary,
        config_file=config_file,
        config_path=config_path,
        references=list(registry.references),
        digest=registry.digest or f"sha256:{hashlib.sha256(binary.read_bytes()).hexdigest()}",
    )
    binary.unlink()


def _module_directory(module: str, path: str) -> Path:
    command = ["go", "list", "-m", "-f", "{{.Dir}}", path]
    listed = subprocess.run(
        command,
        cwd=MODULES / module,
        env=_go_environment(MODULES),
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(listed.stdout.strip())


def _install(module: Module, binaries: Path, progress: Progress) -> None:
    """`go install` with a bar that counts packages; those that are compiled already are not printed by Go."""
    environment = _go_environment(binaries)
    task = progress.add_task(f"{module.directory}: downloading modules", total=None)
    listing = ["go", "list", "-deps", *module.packages]
    listed = subprocess.run(
        listing,
        cwd=MODULES / module.directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        raise ToolchainError(f"{' '.join(listing)} failed in {module.directory}:\n{_tail(listed.stderr)}")
    progress.update(task, total=len(listed.stdout.splitlines()))

    sets = _SETS | (module.registry.sets if module.registry else {})
    flags = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in sets.items())])
    command = ["go", "install", "-v", _COMPILER_FLAGS, "-ldflags", flags, *module.packages]
    output: list[str] = []
    last_report = time.monotonic()
    with subprocess.Popen(
        command, cwd=MODULES / module.directory, env=environment, stderr=subprocess.PIPE, text=True
    ) as build:
        assert build.stderr  # noqa: S101 (it is a pipe)
        for line in build.stderr:
            output.append(line)
            package = line.strip().rpartition("/")[2]
            progress.update(task, advance=1, description=f"{module.directory}: {package}")
            if not progress.console.is_terminal and time.monotonic() - last_report > 30:  # noqa: PLR2004 (seconds)
                progress.console.print(f"{module.directory}: {len(output)} packages compiled")
                last_report = time.monotonic()
    if build.returncode:
        raise ToolchainError(f"go install failed in {module.directory}:\n{_tail(''.join(output))}")
    total = progress.tasks[task].total
    progress.update(task, completed=total, description=module.directory)


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-20:])
