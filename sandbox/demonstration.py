"""Shows the product on a sandbox: the stack deployed, an image pushed and pulled through the registry's name."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from pulumi import automation
from rich.console import Console

from sandbox.layout import Account, Layout
from sandbox.lifecycle import Steps, up
from sandbox.machine import require
from sandbox.stack import open_stack
from sandbox.tools.build import tools_in_use


class DemonstrationError(RuntimeError):
    """The registry did not do what it is for. The message says what."""


def show(layout: Layout) -> None:
    """Bring everything up, deploy the stack `sandbox`, push and pull an image, and print a summary.

    Raises MachineError, ToolchainError, ProcessError, DemonstrationError, or what Pulumi's Automation API raises.
    """
    require(layout)
    console = Console()
    steps = Steps(console.print)
    with steps.step("tools"):
        tools = tools_in_use()
    account = up(layout, tools, steps)
    with steps.step("pulumi up"):
        stack = open_stack(layout, account, tools)
        outputs = stack.up(on_output=_print_errors_only).outputs
    crane = Crane(layout, account, tools.binaries)
    hostname = outputs["hostname"].value
    with steps.step("log in"):
        crane.log_in(hostname, outputs["username"].value, outputs["password"].value)
    image = f"{hostname}/hello:1"
    with tempfile.TemporaryDirectory() as directory:
        layer = Path(directory) / "layer.tar"
        write_layer(layer, b"Hello from a private registry.\n")
        with steps.step("push"):
            crane("append", "--new_layer", str(layer), "--new_tag", image)
        with steps.step("pull"):
            pulled_digest = crane.pull(image, Path(directory) / "pulled")
        pushed_digest = crane("digest", image)
    if pushed_digest != pulled_digest:
        raise DemonstrationError(f"pushed {image} as {pushed_digest}, but pulled {pulled_digest}")
    console.print(_summary(outputs, f"{image}@{pulled_digest}", steps), highlight=False, soft_wrap=True)


class Crane:
    """The registry client `crane`, in the environment of a sandbox's clients."""

    def __init__(self, layout: Layout, account: Account, binaries: Path, *, insecure: bool = False) -> None:
        """`binaries` has the built tools. Only if `insecure` a registry may be without TLS."""
        self._binary = str(binaries / "crane")
        self._environment = os.environ | layout.client_environment(account, binaries)
        self._options = ["--insecure"] if insecure else []

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run crane and return what it prints. Raises DemonstrationError with what it says of a failure."""
        command = [self._binary, *arguments, *self._options]
        done = subprocess.run(command, env=self._environment, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemonstrationError(f"crane {' '.join(arguments)} failed:\n{done.stderr}")
        return done.stdout.strip()

    def log_in(self, hostname: str, user: str, password: str) -> None:
        """Log in for every later command, and for whoever uses the same environment. Raises DemonstrationError."""
        self("auth", "login", "--username", user, "--password-stdin", hostname, stdin=password)

    def pull(self, image: str, directory: Path) -> str:
        """Pull all of `image` into an OCI image layout in `directory`; return its digest. Raises DemonstrationError."""
        self("pull", "--format", "oci", "--annotate-ref", image, str(directory))
        (manifest,) = json.loads((directory / "index.json").read_text())["manifests"]
        return manifest["digest"]


def write_layer(path: Path, content: bytes) -> None:
    """Write a tar archive with one file, `content`, as a layer of an image."""
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("content")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))


def _summary(outputs: automation.OutputMap, pulled: str, steps: Steps) -> str:
    """What was made, in lines that can be copied whole."""
    facts = {
        "registry": outputs["url"].value,
        "bucket": outputs["bucketName"].value,
        "load balancer": outputs["loadBalancerHostname"].value,
        "pushed and pulled": pulled,
        "in all": f"{sum(steps.seconds.values()):.0f} s",
    }
    lines = [f"  {title:<18} {value}" for title, value in facts.items()]
    hostname = outputs["hostname"].value
    return "\n".join(
        [
            "",
            *lines,
            "",
            "Push an image of yours:",
            '  eval "$(make -s env)"',
            f"  crane push IMAGE.tar {hostname}/app:1",
        ]
    )


def _print_errors_only(line: str) -> None:
    if "error" in line:
        print(line)
