"""The registry's stack on a sandbox, through Pulumi's Automation API and the real engine."""

from __future__ import annotations

import sys
from pathlib import Path

from pulumi import automation

from sandbox.layout import Account, Layout
from sandbox.lifecycle import CHECKOUT
from sandbox.tools.build import Toolchain

STACK = "sandbox"
PROGRAM = ("Pulumi.yaml", "__main__.py", "registry")
"""What a checkout's program is made of."""
VIRTUALENV = ".venv"
"""Where Pulumi.yaml says that the program's packages are."""


def open_stack(
    layout: Layout, account: Account, tools: Toolchain, *, project: Path | None = None, name: str = STACK
) -> automation.Stack:
    """The stack `name` of the program in the directory `project`, made first if it does not exist.

    By default the project is the checkout itself, whose settings fit the default sandbox, else one made for `layout`.

    Its state is the sandbox's own: no login, profile or kubeconfig of the user's is read or written.
    """
    if project is None:
        project = CHECKOUT if layout == Layout() else project_directory(layout, layout.directory / "project")
    environment = layout.client_environment(account, tools.binaries)
    options = automation.LocalWorkspaceOptions(
        pulumi_command=automation.PulumiCommand(root=str(tools.directory)),
        env_vars=environment,
        pulumi_home=environment["PULUMI_HOME"],
        secrets_provider="passphrase",
    )
    return automation.create_or_select_stack(name, work_dir=str(project), opts=options)


def project_directory(layout: Layout, directory: Path, checkout: Path = CHECKOUT) -> Path:
    """A project in `directory` with the program of `checkout`, and settings of its own for the stack `sandbox`.

    They are the checkout's, but that the bucket is at the emulated S3 of `layout`. Its packages are those that this
    runs with. Stack files that are there stay.
    """
    directory.mkdir(parents=True, exist_ok=True)
    parts = {name: checkout / name for name in PROGRAM} | {VIRTUALENV: Path(sys.prefix)}
    for name, part in parts.items():
        link = directory / name
        link.unlink(missing_ok=True)
        link.symlink_to(part)
    settings = (checkout / f"Pulumi.{STACK}.yaml").read_text()
    (directory / f"Pulumi.{STACK}.yaml").write_text(settings.replace(Layout().address, layout.address))
    return directory
