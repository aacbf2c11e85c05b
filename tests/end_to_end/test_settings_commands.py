"""The commands of docs/settings.md, run by the CLI: each sets its setting to the example, and the program takes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from docs.settings_reference import Setting, leaves
from registry.settings import MIB
from sandbox.lifecycle import CHECKOUT
from sandbox.plugins import lay_plugins
from sandbox.tools.build import toolchain
from tests.waiting import COMMAND_SECONDS

PROGRAM = """
from pathlib import Path
import pulumi
from registry.settings import Settings
Path("settings.json").write_text(Settings.load(pulumi.Config()).model_dump_json(by_alias=True))
"""
SETTINGS = leaves()
EXAMPLES = {one.path: one.example for one in SETTINGS} | {"chunkSize": 32 * MIB}
"""As the program has them: of a size, 32Mi, the bytes."""
WITHOUT_A_CLASS = "loadBalancer.type"
EMPTYING = [command for one in SETTINGS for command in one.commands if "set-all" in command]


class Project:
    """A project under another name, whose program loads the settings and does nothing else; no cloud is asked."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "project"
        self.directory.mkdir()
        (directory / "state").mkdir()
        declared = (CHECKOUT / "Pulumi.yaml").read_text()
        (self.directory / "Pulumi.yaml").write_text(declared.replace("name: registry\n", "name: images\n", 1))
        (self.directory / "__main__.py").write_text(PROGRAM)
        (self.directory / "registry").symlink_to(CHECKOUT / "registry")
        (self.directory / ".venv").symlink_to(sys.prefix)
        tools = toolchain()
        lay_plugins(directory / "pulumi", tools)
        self.environment = os.environ | {
            "PATH": os.pathsep.join([str(tools.binaries), os.environ["PATH"]]),
            "PULUMI_HOME": str(directory / "pulumi"),
            "PULUMI_BACKEND_URL": f"file://{directory}/state",
            "PULUMI_CONFIG_PASSPHRASE": "no secret is kept",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(self, command: str) -> None:
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.directory, env=self.environment, capture_output=True, text=True,
            timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    def loaded(self) -> dict[str, Any]:
        """The settings as the program has them, once the CLI has judged the types of what is set."""
        self.run("pulumi preview")
        return json.loads((self.directory / "settings.json").read_text())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("settings"))


def value(settings: dict[str, Any], setting: Setting) -> Any:
    found: Any = settings
    for key in setting.path.removesuffix(".<name>").split("."):
        found = found[key]
    return found


def loaded_after(project: Project, settings: list[Setting]) -> dict[str, Any]:
    for setting in settings:
        for command in setting.commands:
            if command not in EMPTYING:
                project.run(command)
    loaded = project.loaded()
    return {one.path: value(loaded, one) for one in settings}


def test_every_command_sets_its_setting_to_the_example(project: Project) -> None:
    project.run("pulumi stack init all")
    together = [one for one in SETTINGS if one.path != WITHOUT_A_CLASS]
    assert loaded_after(project, together) == {one.path: EXAMPLES[one.path] for one in together}


def test_so_does_that_of_the_setting_that_does_not_go_with_all_others(project: Project) -> None:
    project.run("pulumi stack init without-a-class")
    alone = [one for one in SETTINGS if one.path in ("hostname", WITHOUT_A_CLASS)]
    assert loaded_after(project, alone) == {one.path: EXAMPLES[one.path] for one in alone}


def test_a_list_is_made_empty_by_the_command_that_stands_with_it(project: Project) -> None:
    assert [command.partition(" --json ")[0] for command in EMPTYING] == ["pulumi config set-all"]
    project.run("pulumi stack init empty")
    others = ["pulumi config set hostname registry.example.com", "pulumi config set anonymousPush true"]
    for command in (*others, *EMPTYING):
        project.run(command)
    assert project.loaded()["users"] == []
