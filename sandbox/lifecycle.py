"""Brings a sandbox up and down: the emulated AWS, the cluster, the node, the edge."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sandbox import authority
from sandbox.cluster.control_plane import Cluster
from sandbox.edge.target_health import DEREGISTRATION_LAG_SECONDS, REGISTRATION_DELAY_SECONDS
from sandbox.layout import Account, Layout
from sandbox.load_balancer_controller.installation import CUSTOM_RESOURCES, Installation
from sandbox.node.directories import NodeDirectories
from sandbox.node.runtime.cgroups import Cgroups
from sandbox.plugins import lay_plugins
from sandbox.processes import running, start, stop, wait_until
from sandbox.tools.build import Toolchain

READY_SECONDS = 180.0
"""Six times what it takes on a busy machine; a process that ends is noticed at once."""
CHECKOUT = Path(__file__).parent.parent


class Steps:
    """Tells what is done, and how long each step took."""

    def __init__(self, say: Callable[[str], object] = print) -> None:
        """`say` gets a line for each step."""
        self._say = say
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Time what is done inside, and say so at its end."""
        started = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - started
        self._say(f"  {what:<52} {self.seconds[what]:6.1f} s")


def up(
    layout: Layout,
    tools: Toolchain,
    steps: Steps,
    *,
    load_balancer_controller: bool = False,
    registration_delay: float = REGISTRATION_DELAY_SECONDS,
    deregistration_lag: float = DEREGISTRATION_LAG_SECONDS,
    longest_session: float = math.inf,
) -> Account:
    """Start what does not run yet, and return the emulated account when all of it is ready. Raises ProcessError.

    The emulated AWS keeps everything in memory, so without it the rest is worth nothing: it is begun anew.
    The AWS Load Balancer Controller is started only if asked for; `tools` must have its part then.
    `registration_delay` and `deregistration_lag`, in seconds, are for network load balancers: see `Targets`.
    `longest_session`, in seconds, is for how long sessions of roles last at the most.
    """
    if "aws" not in {process.name for process in running(layout)}:
        down(layout)
    with steps.step("emulated AWS, Kubernetes control plane"):
        _start_module(layout, "aws", "--longest-session", str(longest_session))
        cluster = Cluster(layout, tools.binaries)
        cluster.start()
        wait_until(layout.account_file.exists, READY_SECONDS, "the emulated AWS", layout=layout, name="aws")
    account = Account.load(layout.account_file)
    authority.write_trusted(layout)
    with steps.step("node, load balancer data path"):
        _start_module(layout, "pod_identity_agent")
        _start_module(layout, "node", "--images", str(tools.images), "--tools", str(tools.binaries))
        delays = ("--registration-delay", str(registration_delay), "--deregistration-lag", str(deregistration_lag))
        _start_module(layout, "edge", *delays)
        environment = os.environ | layout.client_environment(account, tools.binaries)
        lay_plugins(Path(environment["PULUMI_HOME"]), tools)
        (layout.directory / "state").mkdir(exist_ok=True)
        layout.tools.unlink(missing_ok=True)
        layout.tools.symlink_to(tools.directory)
        kubectl = tools.binaries / "kubectl"
        wait_until(lambda: _node_is_ready(kubectl, environment), READY_SECONDS, "the node", layout=layout, name="node")
        for name, url in (("edge", layout.edge_url), ("pod_identity_agent", layout.pod_identity_agent_url)):
            wait_until(lambda url=url: _listens(url), READY_SECONDS, f"process {name}", layout=layout, name=name)
    with steps.step("AWS cloud controller manager"):
        cluster.start_cloud_controller_manager(account)
    if load_balancer_controller:
        with steps.step("AWS Load Balancer Controller"):
            _install_load_balancer_controller(layout, tools, Installation(layout, kubectl, environment))
    return account


def _install_load_balancer_controller(layout: Layout, tools: Toolchain, installation: Installation) -> None:
    module = "load_balancer_controller"
    installation.define_resources(tools.manifests / CUSTOM_RESOURCES)
    _start_module(layout, module, "--tools", str(tools.binaries))
    what = "the load balancer controller"
    wait_until(installation.answers, READY_SECONDS, what, layout=layout, name=module)
    installation.register_admission()


def down(layout: Layout) -> list[str]:
    """Stop every process of the sandbox by its id, remove what it wrote, and return the names of those that ran."""
    stopped = stop(layout)
    Cgroups.of_this_process(NodeDirectories(layout).stages).tidy()
    shutil.rmtree(layout.directory, ignore_errors=True)
    return stopped


def _start_module(layout: Layout, module: str, *arguments: str) -> None:
    inherited = {key: os.environ[key] for key in ("HOME", "PATH", "XDG_CACHE_HOME") if key in os.environ}
    command = [sys.executable, "-m", f"sandbox.{module}", "--name", layout.name, "--network", str(layout.network)]
    start(layout, module, [*command, *arguments], inherited | {"PYTHONPATH": str(CHECKOUT)})


def _node_is_ready(kubectl: Path, environment: dict[str, str]) -> bool:
    """Ready and without a taint: the node lifecycle controller takes it off, and only then are pods bound to it."""
    command = [str(kubectl), "get", "nodes", "--output", "json"]
    listed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    nodes = json.loads(listed.stdout)["items"] if listed.returncode == 0 else []
    return any(
        "taints" not in node["spec"]
        and any(
            condition["type"] == "Ready" and condition["status"] == "True" for condition in node["status"]["conditions"]
        )
        for node in nodes
        if "conditions" in node["status"]
    )


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) == 0
