"""Pulumi's resource plugins where the engine looks for them, at the releases that the program's SDKs ask for."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

from sandbox import aws_plugin
from sandbox.tools.build import Toolchain

PROVIDERS = ("aws", "kubernetes", "random")


def lay_plugins(home: Path, tools: Toolchain) -> None:
    """Lay the plugins out below `home`, the directory that is PULUMI_HOME, in place of those that are there.

    pulumi-aws's is the sandbox's own (see aws_plugin/). Each is where its SDK's release is looked for: the engine takes
    exactly that one, and one on PATH only with a warning.
    """
    shutil.rmtree(home / "plugins", ignore_errors=True)
    for provider in PROVIDERS:
        program = f"pulumi-resource-{provider}"
        directory = Path(str(aws_plugin.__file__)).parent if provider == "aws" else tools.plugins
        place = home / "plugins" / f"resource-{provider}-v{metadata.version(f'pulumi-{provider}')}"
        place.mkdir(parents=True)
        (place / program).symlink_to(directory / program)
