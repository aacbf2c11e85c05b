"""The language host is started with the virtual environment that a project names."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.tools.build import toolchain

pytestmark = pytest.mark.sandbox
ENGINE = "127.0.0.1:1"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """What the engine starts, beside a host that prints its arguments."""
    program = tmp_path / "bin/pulumi-language-python"
    program.parent.mkdir()
    shutil.copy(toolchain("language-host").binaries / program.name, program)  # a link's place would not be its own
    host = program.with_name(f"{program.name}-host")
    host.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    host.chmod(0o755)
    return program


def start(program: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, ENGINE], cwd=directory, env=os.environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("project", "options"),
    [
        ("name: any\nruntime:\n  name: python\n  options:\n    toolchain: pip\n    virtualenv: .venv\n", [".venv"]),
        (
            '{"name": "any", "runtime": {"name": "python", "options": {"virtualenv": "../environment"}}}',
            ["../environment"],
        ),
        ("name: any\nruntime:\n  name: python\n", []),
        ("name: any\nruntime: python\n", []),
        (None, []),
    ],
    ids=["virtualenv", "JSON", "no options", "no object", "no project"],
)
def test_it_gets_the_virtual_environment_and_the_projects_root(
    program: Path, tmp_path: Path, project: str | None, options: list[str]
) -> None:
    (root := tmp_path / "project").mkdir()
    if project:
        (root / "Pulumi.yaml").write_text(project)
    expected = [f"-virtualenv={options[0]}", f"-root={root}"] if options else []
    for directory in (root, root / "inner"):
        directory.mkdir(exist_ok=True)
        started = start(program, directory)
        assert started.stdout.splitlines() == [*expected, ENGINE], started.stderr


def test_a_toolchain_that_it_does_not_know_is_refused(program: Path, tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.yaml"
    file.write_text("name: any\nruntime: {name: python, options: {toolchain: uv}}\n")
    started = start(program, tmp_path)
    assert (started.returncode, started.stdout) == (1, "")
    assert started.stderr == f"{file}: the sandbox's language host knows toolchain pip only, not uv\n"
