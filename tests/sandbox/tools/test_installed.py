"""What the user has installed is taken in place of a build where it serves, and left alone where it does not."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from sandbox.tools import build
from sandbox.tools.installed import installed
from sandbox.tools.pins import PULUMI_VERSION, parts_in_use

KUBERNETES = metadata.version("pulumi-kubernetes")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with nothing installed, and no tools built."""
    home = tmp_path / "home" / ".pulumi"
    (home / "bin").mkdir(parents=True)
    monkeypatch.setenv("PULUMI_HOME", str(home))
    monkeypatch.setenv("PATH", f"{home / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return home


def program(path: Path, prints: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)
    return path


def cli(home: Path, version: str) -> Path:
    for name in ("pulumi-language-python", "pulumi-language-python-exec"):
        program(home / "bin" / name)
    return program(home / "bin" / "pulumi", version)


def plugin(home: Path, provider: str, release: str) -> Path:
    return program(home / f"plugins/resource-{provider}-v{release}/pulumi-resource-{provider}")


def test_who_has_nothing_gets_all_of_it_built() -> None:
    assert installed() == []


@pytest.mark.parametrize("version", [PULUMI_VERSION, "v3.999.0"])
def test_a_cli_that_serves_stands_for_itself_and_its_language_host(home: Path, version: str) -> None:
    found = cli(home, version)
    (own,) = installed()
    assert own.parts == {"pulumi", "language-host"}
    assert own.programs["pulumi"] == found
    assert own.what == f"pulumi {version} ({found})"


@pytest.mark.parametrize("version", ["v3.100.0", "v4.0.0", "v3.999.0-alpha.1", "nonsense"])
def test_a_cli_that_may_not_serve_is_left_alone(home: Path, version: str) -> None:
    cli(home, version)
    assert installed() == []


def test_a_cli_without_its_language_host_is_left_alone(home: Path) -> None:
    program(home / "bin" / "pulumi", PULUMI_VERSION)
    assert installed() == []


def test_the_nearest_plugin_that_its_sdk_takes_is_taken(home: Path) -> None:
    major = int(KUBERNETES.partition(".")[0])
    for release in ("3.0.0", f"{major}.0.0", f"{major}.900.0", f"{major}.1000.0", f"{major + 1}.0.0"):
        plugin(home, "kubernetes", release)
    (own,) = installed()
    assert own.parts == {"kubernetes-provider"}
    assert f"v{major}.900.0" in str(own.programs["pulumi-resource-kubernetes"])


def test_the_users_aws_plugin_is_never_taken(home: Path) -> None:
    plugin(home, "aws", metadata.version("pulumi-aws"))
    assert installed() == []


def test_the_sandboxs_own_are_not_taken_for_the_users(home: Path, tmp_path: Path) -> None:
    ours = cli(tmp_path / "cache/kubernetes-registry-sandbox/tools/x", PULUMI_VERSION)
    (home / "bin" / "pulumi").symlink_to(ours)
    assert installed() == []


def test_what_is_installed_is_used_and_the_rest_built(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = {"pulumi": cli(home, PULUMI_VERSION), "pulumi-resource-random": plugin(home, "random", "4.999.0")}
    replaced = {"pulumi", "language-host", "random-provider"}
    for part in parts_in_use():
        if part.name not in replaced:
            program(part.directory / "bin" / ("registry" if part.registry else part.name))
            for name in [Path(path).name for _, path in part.files]:
                program(part.directory / "files" / name)
            (part.directory / "files").mkdir(exist_ok=True)
    tools = build.tools_in_use()
    assert (tools.binaries / "pulumi").resolve() == mine["pulumi"]
    assert (tools.plugins / "pulumi-resource-random").resolve() == mine["pulumi-resource-random"]
    assert (tools.binaries / "cluster").exists()
    assert f"pulumi {PULUMI_VERSION} ({mine['pulumi']})" in capsys.readouterr().err


def test_a_build_of_the_pins_comes_before_what_is_installed(home: Path) -> None:
    cli(home, PULUMI_VERSION)
    for part in parts_in_use():
        program(part.directory / "bin" / ("registry" if part.registry else part.name))
        (part.directory / "files").mkdir()
        for name in [Path(path).name for _, path in part.files]:
            program(part.directory / "files" / name)
    assert not (build.tools_in_use().binaries / "pulumi").is_symlink()
