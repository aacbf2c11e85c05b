"""What the user has installed already of the tools, at releases that serve: it need not be built for `make sandbox`."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from sandbox.layout import cache_directory
from sandbox.tools.pins import PULUMI_VERSION

_LANGUAGE_HOST = ("pulumi-language-python", "pulumi-language-python-exec")
_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_PROVIDERS = ("kubernetes", "random")
"""Never pulumi-aws: it would turn to AWS."""


@dataclass(frozen=True)
class Installed:
    """Programs of the user's, by name, that serve in place of the parts `parts`; `what` says which they are."""

    what: str
    parts: frozenset[str]
    programs: dict[str, Path]

    @property
    def key(self) -> str:
        """Another one for other programs, or others in their place."""
        facts = [
            (name, str(path), path.stat().st_size, path.stat().st_mtime_ns) for name, path in self.programs.items()
        ]
        return hashlib.sha256(repr((self.what, facts)).encode()).hexdigest()[:8]


def installed() -> list[Installed]:
    """Return what is installed and serves: the Pulumi CLI, of the pins' release or a later one of the same major, with
    its language host; and the plugins, of their SDKs' releases or the next later one of the same major.
    """
    return [found for found in (_cli(), *(_plugin(provider) for provider in _PROVIDERS)) if found]


def _cli() -> Installed | None:
    found = shutil.which("pulumi")
    if not found or _is_ours(program := Path(found).resolve()):
        return None
    version = subprocess.run(
        [program, "version"], env=os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"},
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    programs = {"pulumi": program} | {name: program.with_name(name) for name in _LANGUAGE_HOST}
    if not _serves(version, PULUMI_VERSION) or not all(os.access(path, os.X_OK) for path in programs.values()):
        return None
    return Installed(f"pulumi {version} ({program})", frozenset({"pulumi", "language-host"}), programs)


def _plugin(provider: str) -> Installed | None:
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    program = f"pulumi-resource-{provider}"
    serving = []
    for directory in home.glob(f"plugins/resource-{provider}-v*"):
        release = directory.name.rpartition("-")[2]
        path = directory / program
        if _serves(release, metadata.version(f"pulumi-{provider}")) and os.access(path, os.X_OK) and not _is_ours(path):
            serving.append((_numbers(release), path.resolve()))
    if not serving:
        return None
    release, path = min(serving)
    return Installed(
        f"{program} {'.'.join(map(str, release))} ({path})", frozenset({f"{provider}-provider"}), {program: path}
    )


def _is_ours(program: Path) -> bool:
    """In a shell in which `make env` was evaluated the sandbox's own are found."""
    return program.resolve().is_relative_to(cache_directory().resolve())


def _serves(release: str, wanted: str) -> bool:
    """Whether `release` is of the same major as `wanted`, and not before it; no pre-release is."""
    found, least = _numbers(release), _numbers(wanted)
    return found >= least and found[:1] == least[:1]


def _numbers(release: str) -> tuple[int, ...]:
    match = _RELEASE.fullmatch(release)
    return tuple(map(int, match.groups())) if match else ()
