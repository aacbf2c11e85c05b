"""The tools' build: what it needs, and what it says when that is missing."""

from __future__ import annotations

import platform
import re
import shutil
from pathlib import Path

import pytest
import yaml

from sandbox.tools import assembly, pins
from sandbox.tools.build import toolchain
from sandbox.tools.pins import PARTS, ToolchainError, parts_in_use

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache without tools, and a PATH without programs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()


def put_go_on_path(directory: Path, version: str) -> None:
    go = directory / "bin" / "go"
    go.write_text(f"""#!/bin/sh\necho '{{"GOVERSION": "{version}"}}'\n""")
    go.chmod(0o755)


def test_a_missing_go_says_what_to_install() -> None:
    with pytest.raises(ToolchainError, match=r"go is not on PATH, but .* with Go 1\.26: install Go 1\.26"):
        toolchain.__wrapped__()


@pytest.mark.parametrize("version", ["go1.25.9", "go1.3", "devel"])
def test_a_go_that_is_too_old_says_which_is_needed(tmp_path: Path, version: str) -> None:
    put_go_on_path(tmp_path, version)
    with pytest.raises(ToolchainError, match=rf"go on PATH is {version}, but must be at least 1\.26"):
        toolchain.__wrapped__()


def test_two_checkouts_of_the_same_pins_have_one_key_and_another_pin_gives_another_to_its_own_parts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {part.name: part.key for part in PARTS}
    tools = assembly._key()
    checkout = tmp_path / "checkout"
    shutil.copytree(pins.MODULES, checkout, ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "random-provider" / "__pycache__").mkdir()
    (checkout / "random-provider" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"compiled by whoever ran it")
    monkeypatch.setattr(pins, "MODULES", checkout)
    assert {part.name: part.key for part in PARTS} == keys
    assert assembly._key() == tools
    with (checkout / "random-provider" / "go.mod").open("a") as file:
        file.write("// another\n")
    assert {part.name for part in PARTS if part.key != keys[part.name]} == {"random-provider"}
    assert assembly._key() != tools


def test_tools_for_another_platform_have_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {part.key for part in PARTS}
    monkeypatch.setattr(platform, "machine", lambda: "aarch64" if platform.uname().machine != "aarch64" else "x86_64")
    assert not keys & {part.key for part in PARTS}


def test_the_parts_build_every_tool_of_their_modules() -> None:
    for module in {part.module for part in PARTS}:
        packages = {package for part in PARTS if part.module == module for package in part.packages}
        named = re.search(r"^tool \((.*?)^\)", (pins.MODULES / module / "go.mod").read_text(), re.MULTILINE | re.DOTALL)
        if named:
            tools = {tool.replace(f"sandbox.test/tools/{module}/", "./") for tool in named[1].split()}
            assert packages == tools, module


def test_the_image_that_a_stack_has_by_default_is_built_for_make_sandbox() -> None:
    image = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())["config"]["image"]["default"]
    name, _, digest = image.partition("@")
    assert [part.registry.digest for part in parts_in_use() if part.registry and name in part.registry.references] == [
        digest
    ]
