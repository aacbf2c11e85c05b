"""Pulumi's plugins, where the engine looks for them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sandbox.plugins import PROVIDERS, lay_plugins
from sandbox.tools import pins
from sandbox.tools.assembly import Toolchain

CHECKOUT = Path(__file__).parents[2]
SDKS = dict(re.findall(r"^pulumi-(\w+)==(\S+)$", (CHECKOUT / "requirements.txt").read_text(), re.MULTILINE))


@pytest.fixture
def tools(tmp_path: Path) -> Toolchain:
    """Tools with a Kubernetes and a random plugin."""
    tools = Toolchain(tmp_path / "tools")
    tools.plugins.mkdir(parents=True)
    for provider in ("kubernetes", "random"):
        (tools.plugins / f"pulumi-resource-{provider}").touch(mode=0o755)
    return tools


def test_each_sdk_finds_a_plugin_of_its_own_release(tmp_path: Path, tools: Toolchain) -> None:
    lay_plugins(tmp_path / "home", tools)
    assert set(SDKS) == set(PROVIDERS)
    for provider, release in SDKS.items():
        program = tmp_path / f"home/plugins/resource-{provider}-v{release}/pulumi-resource-{provider}"
        assert os.access(program, os.X_OK)


def test_plugins_of_former_releases_go(tmp_path: Path, tools: Toolchain) -> None:
    former = tmp_path / "home/plugins/resource-aws-v6.0.0"
    former.mkdir(parents=True)
    lay_plugins(tmp_path / "home", tools)
    assert not former.exists()


@pytest.mark.parametrize("provider", ["kubernetes", "random"])
def test_a_plugin_reports_the_release_that_its_sdk_asks_for(provider: str) -> None:
    (main,) = pins.MODULES.glob(f"*/pulumi-resource-{provider}/main.go")
    assert f'const version = "{SDKS[provider]}"' in main.read_text()
