"""A control plane and a node of the tests' own, and what their administrator sees of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from sandbox.cluster.control_plane import Cluster
from sandbox.layout import Layout
from sandbox.processes import running, start, stop, wait_until
from sandbox.tools.build import Toolchain
from tests.descendants import descendants
from tests.sandbox.account import ACCOUNT
from tests.waiting import PATIENCE_SECONDS

PROJECT = Path(__file__).parents[3]
READ_ONLY = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass(frozen=True)
class NodeSandbox:
    layout: Layout
    tools: Toolchain

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        command = [self.tools.binaries / "kubectl", f"--kubeconfig={self.layout.kubeconfig}", *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", "-o", "json", *arguments))

    def pods(self, app: str) -> list[dict[str, Any]]:
        return self.get("pods", "-l", f"app={app}")["items"]

    def container(self, pod: str) -> dict[str, Any]:
        """The status of a pod's only container; empty before the node has seen it."""
        return next(iter(self.get("pod", pod)["status"].get("containerStatuses", [])), {})

    def await_ready(self, app: str, replicas: int) -> list[dict[str, Any]]:
        """The pods of the app as they are when all of them are ready."""
        pods: list[dict[str, Any]] = []

        def ready() -> bool:
            pods[:] = self.pods(app)
            return len(pods) == replicas and all(is_ready(pod) for pod in pods)

        self.until(ready, f"{replicas} ready pods of {app}")
        return pods

    def is_ready(self) -> bool:
        """Whether the node takes pods: it is ready, and the node lifecycle controller has taken its taint off."""
        nodes = self.get("nodes")["items"]
        return bool(nodes) and is_ready(nodes[0]) and "taints" not in nodes[0]["spec"]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        wait_until(condition, PATIENCE_SECONDS, what, layout=self.layout, name="node")

    def url(self, pod: dict[str, Any], port: int = 5000) -> str:
        return f"http://{self.layout.loopback_of(pod['status']['podIP'])}:{port}"

    def events(self, name: str) -> set[tuple[str, str]]:
        """Reason and message of the events of a pod."""
        found = self.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
        return {(one["reason"], one["message"]) for one in found}

    def node_process(self) -> psutil.Process:
        (process,) = [one for one in running(self.layout) if one.name == "node"]
        return psutil.Process(process.pid)

    def kubelet(self) -> psutil.Process:
        (found,) = descendants(self.node_process(), lambda one: one.name() == "kubelet")
        return found

    def volume(self, pod: dict[str, Any], kind: str, name: str) -> Path:
        """A volume's directory, as the kubelet sees it."""
        volumes = f"var/lib/kubelet/pods/{pod['metadata']['uid']}/volumes"
        return Path(f"/proc/{self.kubelet().pid}/root", volumes, f"kubernetes.io~{kind}", name)

    def is_served(self, app: str) -> bool:
        """Whether all pods of the app answer."""
        return all("podIP" in one["status"] and answers(self.url(one)) == 200 for one in self.pods(app))

    def start_node(self) -> None:
        options = [
            "--name",
            self.layout.name,
            "--network",
            str(self.layout.network),
            "--images",
            str(self.tools.images),
            "--tools",
            str(self.tools.binaries),
        ]
        environment = {"PYTHONPATH": str(PROJECT), "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}
        start(self.layout, "node", [sys.executable, "-m", "sandbox.node", *options], environment)


def registry(**container: Any) -> dict[str, Any]:
    """A container of the registry with its storage in memory."""
    env = [{"name": "REGISTRY_STORAGE", "value": "inmemory"}, *container.pop("env", [])]
    return {
        "name": "registry",
        "image": "registry:3.1.1",
        "env": env,
        "ports": [{"name": "registry", "containerPort": 5000}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "registry"}, "periodSeconds": 1},
        "livenessProbe": {"tcpSocket": {"port": "registry"}},
    } | container


def pod(name: str, container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]} | spec}


def deployment(name: str, replicas: int, container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]} | spec},
        },
    }


def is_ready(thing: dict[str, Any]) -> bool:
    """Whether a pod or node is ready; a pod has no conditions at first, then the scheduler's only."""
    conditions = thing["status"].get("conditions", [])
    return {"Ready": "True"} in [{one["type"]: one["status"]} for one in conditions]


def answers(url: str) -> int | None:
    """The status with which `url` answers, None if the connection is refused or reset."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=PATIENCE_SECONDS) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def endpoints(sandbox: NodeSandbox, service: str) -> set[str]:
    slices = sandbox.get("endpointslices", "-l", f"kubernetes.io/service-name={service}")["items"]
    return {
        address
        for one in slices
        for endpoint in one["endpoints"] or []
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    }


@contextmanager
def running_node(layout: Layout, tools: Toolchain) -> Iterator[NodeSandbox]:
    """Bring control plane and node up, and down again whatever happens."""
    made = NodeSandbox(layout, tools)
    try:
        Cluster(layout, tools.binaries).start()
        ACCOUNT.save(layout.account_file)
        made.start_node()
        made.until(made.is_ready, "the node ready")
        yield made
    finally:
        stop(layout)
