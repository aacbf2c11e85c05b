"""What the sandbox's tools are built from, in parts that are kept apart: a part is built anew when its own pins change.

It imports nothing that has to be installed first.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sandbox.layout import cache_directory

MODULES = Path(__file__).parent
GO_VERSION = (1, 26)
"""The Go release that the modules' go.mod ask for."""

KUBERNETES_VERSION = "v1.34.2"
PULUMI_VERSION = "v3.245.0"
_SETS = {
    "k8s.io/component-base/version.gitVersion": KUBERNETES_VERSION,
    "k8s.io/component-base/version.gitMajor": "1",
    "k8s.io/component-base/version.gitMinor": "34",
    "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": PULUMI_VERSION,
}
"""Versions that the tools' own build scripts set at link time; without them their clients cannot read any."""

_COMPILER_FLAGS = "-gcflags=all=-l -dwarf=false"
"""Without inlining and debug data, which are no use here, the build takes a third less CPU time."""

_GO_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


ARCHIVE = "SANDBOX_TOOLS"
"""The environment variable that names an archive of built tools, which is taken in place of a build."""


class ToolchainError(RuntimeError):
    """The tools can't be built. The message says why, and what to do."""


@dataclass(frozen=True)
class Registry:
    """A release of the distribution registry, whose binary stands for the published image of the same release.

    `path` is its Go module, `version_variable` what tells the binary its release, `references` the image's names,
    `digest` the published image's, or None where it is not known here. `config` is the part's file that the image has
    at `config_path`.
    """

    release: str
    references: tuple[str, ...]
    path: str
    version_variable: str
    digest: str | None
    config: str
    config_path: str

    @property
    def sets(self) -> dict[str, str]:
        """What is set at link time."""
        return {f"{self.path}/version.{self.version_variable}": f"v{self.release}"}


@dataclass(frozen=True)
class Part:
    """What is built and kept together: `packages` of the Go module in the directory `module` below `tools/`.

    `files` are kept beside the binaries, each a Go module's path (empty: this one's own) and a path in it. `registry`
    is the release that the part is, if it is one. A part `on_request` is built only for who asks for all parts, or for
    it by its name.
    """

    name: str
    module: str
    packages: tuple[str, ...] = ("tool",)
    files: tuple[tuple[str, str], ...] = ()
    registry: Registry | None = None
    on_request: bool = False

    @property
    def sources(self) -> Path:
        """The directory of the Go module."""
        return MODULES / self.module

    @property
    def build_flags(self) -> list[str]:
        """The flags of `go install`, and of `go list` where it is to tell what has been compiled already."""
        sets = _SETS | (self.registry.sets if self.registry else {})
        linker = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in sets.items())])
        return [_COMPILER_FLAGS, "-ldflags", linker]

    @property
    def key(self) -> str:
        """Names the part by what it is built from: the module's sources, the command, the platform."""
        digest = hashlib.sha256(repr((self.packages, self.files, self.build_flags, go_platform())).encode())
        suffixes = (".go", ".mod", ".sum", ".yml")
        named = {
            str(path.relative_to(self.sources)): path
            for suffix in suffixes
            for path in self.sources.rglob(f"*{suffix}")
        }
        for name, path in sorted(named.items()):
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]

    @property
    def directory(self) -> Path:
        """Where the part is once it is built: `bin/` and `files/`."""
        return tools_directory() / "parts" / f"{self.name}-{self.key}"


_DISTRIBUTION_3, _DISTRIBUTION_2 = "github.com/distribution/distribution/v3", "github.com/docker/distribution"
_CONFIG_3 = {"config": "config-dev.yml", "config_path": "/etc/distribution/config.yml"}
_FILES_3 = ((_DISTRIBUTION_3, "cmd/registry/config-dev.yml"),)
PARTS = (
    Part(
        "pulumi",
        "engine",
        ("github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",),
        (("github.com/pulumi/pulumi/sdk/v3", "python/cmd/pulumi-language-python-exec"),),
    ),
    Part("kubernetes-provider", "engine", ("./pulumi-resource-kubernetes",)),
    Part(
        "cluster",
        "engine",
        (
            "github.com/google/go-containerregistry/cmd/crane",
            "go.etcd.io/etcd/server/v3",
            "k8s.io/cloud-provider-aws/cmd/aws-cloud-controller-manager",
            "k8s.io/kubernetes/cmd/kube-apiserver",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-scheduler",
            "k8s.io/kubernetes/cmd/kubectl",
        ),
    ),
    Part("kubelet", "engine", ("k8s.io/kubernetes/cmd/kubelet",)),
    Part(
        "registry-3.1.2",
        "engine",
        (f"{_DISTRIBUTION_3}/cmd/registry",),
        _FILES_3,
        registry=Registry(
            "3.1.2",
            ("registry:3.1.2", "registry:3"),
            _DISTRIBUTION_3,
            "version",
            "sha256:ddf754342cfc8acc51a56d5d0ab6af06826461864460636d8bd5c546dab2a7b8",
            **_CONFIG_3,
        ),
    ),
    Part(
        "language-host",
        "language-host",
        ("github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python", "./project-language-host"),
    ),
    Part("random-provider", "random-provider", ("./pulumi-resource-random",)),
    # What `up --load-balancer-controller` starts: the last of its commits that can be had as a module.
    Part(
        "load-balancer-controller",
        "load-balancer-controller",
        ("sigs.k8s.io/aws-load-balancer-controller",),
        (("sigs.k8s.io/aws-load-balancer-controller", "helm/aws-load-balancer-controller/crds/crds.yaml"),),
        on_request=True,
    ),
    # What stacks of former versions of the program name.
    Part(
        "registry-3.1.1",
        "registry-3.1.1",
        files=_FILES_3,
        registry=Registry(
            "3.1.1",
            ("registry:3.1.1",),
            _DISTRIBUTION_3,
            "version",
            "sha256:1be55279f18a2fe1a74edf2664cac61c1bea305b7b4642dab412e7affdcb3e33",
            **_CONFIG_3,
        ),
        on_request=True,
    ),
    Part(
        "registry-2.8.3",
        "registry-2.8.3",
        # The release's own example needs a Redis, which the published image does not.
        files=(("", "config.yml"),),
        registry=Registry(
            "2.8.3",
            ("registry:2.8.3", "registry:2"),
            _DISTRIBUTION_2,
            "Version",
            None,
            "config.yml",
            "/etc/docker/registry/config.yml",
        ),
        on_request=True,
    ),
)


def tools_directory() -> Path:
    """Where built tools are kept."""
    return cache_directory() / "tools"


def parts_in_use() -> list[Part]:
    """The parts that `make sandbox` needs."""
    return [part for part in PARTS if not part.on_request]


def missing_parts() -> list[Part]:
    """Those of them that are not built yet."""
    return [part for part in parts_in_use() if not part.directory.exists()]


def go_platform() -> str:
    """`linux/amd64` and the like: what the tools are built for."""
    return f"{platform.system().lower()}/{_GO_MACHINES.get(platform.machine(), platform.machine())}"


def go_environment() -> dict[str, str]:
    """The environment of `go`."""
    # Without cgo the binaries need nothing of the system's, so that they run in an empty root file system too.
    # GOGC: the compiler spends a fifth of its time collecting garbage that a build's memory has room for.
    return os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOGC": "400"}


def go_settings() -> dict[str, str]:
    """What `go env` says of its version and of the directories in which it keeps things."""
    command = ["go", "env", "-json", "GOVERSION", "GOCACHE", "GOMODCACHE"]
    return json.loads(subprocess.run(command, env=go_environment(), capture_output=True, check=True).stdout)


def what_go_lacks() -> str | None:
    """Say what is wrong with the Go on PATH, and the remedy; None if it can build the tools."""
    wanted = ".".join(str(part) for part in GO_VERSION)
    remedy = f"install Go {wanted} or newer from https://go.dev/dl/ and put its bin directory on PATH"
    if not shutil.which("go"):
        return f"go is not on PATH, but the sandbox builds its tools with Go {wanted}: {remedy}"
    found = go_settings()["GOVERSION"]
    numbers = re.match(r"go(\d+)\.(\d+)", found)
    if not numbers or (int(numbers[1]), int(numbers[2])) < GO_VERSION:
        return f"go on PATH is {found}, but must be at least {wanted}: {remedy}"
    return None
