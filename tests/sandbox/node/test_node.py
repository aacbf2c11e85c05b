"""The real control plane and the node: Kubernetes decides, the registry runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from sandbox.cluster.control_plane import Cluster
from sandbox.layout import Account, Layout
from sandbox.processes import log_file, running, start, stop, wait_until
from sandbox.tools.build import Toolchain, toolchain
from tests import networks
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.sandbox

PROJECT = Path(__file__).parents[3]
ACCOUNT = Account(
    access_key_id="AKIAEXAMPLE",
    secret_access_key="none",
    vpc_id="vpc-1",
    subnet_id="subnet-1",
    instance_id="i-0123456789abcdef0",
    private_dns_name="ip-10-0-0-1.ec2.internal",
    private_ip="10.0.0.1",
    zone_id="Z1",
)
READ_ONLY = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass(frozen=True)
class Sandbox:
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

    def until(self, condition: Callable[[], bool], what: str) -> None:
        wait_until(condition, PATIENCE_SECONDS, what, layout=self.layout, name="node")

    def url(self, pod: dict[str, Any], port: int = 5000) -> str:
        return f"http://{self.layout.loopback_of(pod['status']['podIP'])}:{port}"

    def start_node(self) -> None:
        options = [
            "--name",
            self.layout.name,
            "--network",
            str(self.layout.network),
            "--images",
            str(self.tools.images),
        ]
        environment = {"PYTHONPATH": str(PROJECT), "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}
        start(self.layout, "node", [sys.executable, "-m", "sandbox.node", *options], environment)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    tools = toolchain()
    layout = Layout(name="node", network=networks.NODE)
    made = Sandbox(layout, tools)
    try:
        Cluster(layout, tools.binaries).start()
        ACCOUNT.save(layout.account_file)
        made.start_node()
        made.until(lambda: made.get("leases", "-n", "kube-node-lease")["items"] != [], "the node's lease")
        yield made
    finally:
        stop(layout)


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


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether the pod is ready; it has no conditions at first, then the scheduler's only."""
    conditions = pod["status"].get("conditions", [])
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


def endpoints(sandbox: Sandbox, service: str) -> set[str]:
    slices = sandbox.get("endpointslices", "-l", f"kubernetes.io/service-name={service}")["items"]
    return {
        address
        for one in slices
        for endpoint in one["endpoints"] or []
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    }


@pytest.fixture(scope="module")
def web(sandbox: Sandbox) -> str:
    """A Deployment of two registries as careful users write it, with a Service of the same name."""
    env = [{"name": "REGISTRY_HTTP_SECRET", "valueFrom": {"secretKeyRef": {"name": "web", "key": "http"}}}]
    container = registry(env=env, securityContext=READ_ONLY, volumeMounts=[{"name": "users", "mountPath": "/auth"}])
    sandbox.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web"}, "stringData": {"http": "a1b2", "u": "1"}},
        deployment(
            "web",
            2,
            container,
            volumes=[{"name": "users", "secret": {"secretName": "web"}}],
            securityContext={"runAsUser": 65532, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        ),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "registry"}]},
        },
    )
    return "web"


def test_two_replicas_on_the_same_port_become_ready_endpoints_and_take_pushes(sandbox: Sandbox, web: str) -> None:
    pods = sandbox.await_ready(web, 2)
    sandbox.until(lambda: endpoints(sandbox, web) == {one["status"]["podIP"] for one in pods}, "both endpoints")
    empty = "/dev/null"
    for one in pods:
        name = f"{sandbox.url(one).removeprefix('http://')}/app:1"
        crane = [sandbox.tools.binaries / "crane", "append", "--insecure", "-f", empty, "-t", name]
        subprocess.run(crane, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        assert answers(f"{sandbox.url(one)}/v2/app/manifests/1") == 200


def test_the_node_is_the_accounts_instance(sandbox: Sandbox) -> None:
    node = sandbox.get("node", ACCOUNT.private_dns_name)
    assert node["spec"]["providerID"] == f"aws:///us-east-1a/{ACCOUNT.instance_id}"
    assert {"type": "InternalIP", "address": ACCOUNT.private_ip} in node["status"]["addresses"]
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "us-east-1a"
    lease = sandbox.get("lease", ACCOUNT.private_dns_name, "-n", "kube-node-lease")
    assert lease["spec"]["leaseDurationSeconds"] == 40


def test_a_rolling_update_replaces_pods_and_never_lacks_a_ready_endpoint(sandbox: Sandbox, web: str) -> None:
    before = {one["metadata"]["uid"] for one in sandbox.await_ready(web, 2)}
    sandbox.kubectl("set", "env", f"deployment/{web}", "REGISTRY_LOG_LEVEL=warn")
    fewest = 2

    def replaced() -> bool:
        nonlocal fewest
        fewest = min(fewest, len(endpoints(sandbox, web)))
        return not before & {one["metadata"]["uid"] for one in sandbox.pods(web)}

    sandbox.until(replaced, "new pods only")
    assert fewest == 2
    assert {one["metadata"]["uid"] for one in sandbox.await_ready(web, 2)}.isdisjoint(before)


def test_a_changed_secret_reaches_its_volume(sandbox: Sandbox, web: str) -> None:
    (one, _) = sandbox.await_ready(web, 2)
    files = sandbox.layout.pods / one["metadata"]["uid"] / "containers" / "registry" / "users"
    assert (files / "u").read_text() == "1"
    sandbox.kubectl("patch", "secret", "web", "-p", '{"stringData": {"u": "2"}}')
    sandbox.until(lambda: (files / "u").read_text() == "2", "the new content")


def test_a_pod_deleted_gets_its_pre_stop_hook_and_sigterm_before_it_is_gone(sandbox: Sandbox) -> None:
    hook = {"preStop": {"sleep": {"seconds": 10}}}
    never = 100 * int(PATIENCE_SECONDS)  # so that it is SIGTERM that ends it
    sandbox.apply(pod("ends", registry(lifecycle=hook), terminationGracePeriodSeconds=never))
    (one,) = sandbox.await_ready("ends", 1)
    began = time.monotonic()
    sandbox.kubectl("delete", "pod", "ends", "--wait=false")
    assert answers(sandbox.url(one)) == 200  # it serves on while its hook runs
    sandbox.until(lambda: sandbox.pods("ends") == [], "the end of the pod")
    assert time.monotonic() - began >= 10
    assert answers(sandbox.url(one)) is None
    directory = sandbox.layout.pods / one["metadata"]["uid"]
    sandbox.until(lambda: not directory.exists(), "the end of its directory")


WAITING: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "no-image": ({"image": "registry:2.2.1"}, {}, "ImagePullBackOff", "the sandbox pulls no images, it has"),
    "other-digest": ({"image": f"registry:3.1.1@sha256:{'0' * 64}"}, {}, "ImagePullBackOff", "not found"),
    "no-key": (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "web", "key": "missing"}}}]},
        {},
        "CreateContainerConfigError",
        "couldn't find key missing in Secret default/web",
    ),
    "as-root": (
        {},
        {"securityContext": {"runAsNonRoot": True}},
        "CreateContainerConfigError",
        "container has runAsNonRoot and image will run as root",
    ),
    "host-path": (
        {},
        {"volumes": [{"name": "h", "hostPath": {"path": "/"}}]},
        "CreateContainerConfigError",
        "the sandbox's node can't honour: spec.volumes[0].hostPath",
    ),
    "no-volume": (
        {"volumeMounts": [{"name": "s", "mountPath": "/s"}]},
        {"volumes": [{"name": "s", "secret": {"secretName": "none"}}]},
        "ContainerCreating",
        'MountVolume.SetUp failed for volume "s" : secret "none" not found',
    ),
    "panics": ({"env": [{"name": "REGISTRY_STORAGE", "value": "S3"}]}, {}, "CrashLoopBackOff", "back-off 10s"),
    "no-command": ({"command": ["missing"]}, {}, "CrashLoopBackOff", "back-off 10s restarting failed container"),
}
"""Pod name to its container, the rest of its spec, and why it waits."""
LAST = {"panics": ("Error", 2), "no-command": ("StartError", 128)}


@pytest.mark.parametrize("name", WAITING)
def test_what_keeps_a_container_from_running_is_in_its_status(sandbox: Sandbox, web: str, name: str) -> None:
    container, spec, reason, message = WAITING[name]
    sandbox.apply(pod(name, registry(**container), **spec))

    last: dict[str, Any] = {}

    def waiting() -> bool:
        nonlocal last
        found = sandbox.container(name)
        state = found.get("state", {}).get("waiting", {})
        last = found.get("lastState", {}).get("terminated", {})
        return state.get("reason") == reason and message in state.get("message", "")

    try:
        sandbox.until(waiting, f"{reason} of {name}")
        assert (last.get("reason"), last.get("exitCode")) == LAST.get(name, (None, None))
    finally:
        sandbox.kubectl("delete", "pod", name)


def test_a_secret_that_comes_later_lets_the_container_start(sandbox: Sandbox) -> None:
    env = [{"name": "REGISTRY_HTTP_SECRET", "valueFrom": {"secretKeyRef": {"name": "late", "key": "http"}}}]
    sandbox.apply(pod("late", registry(env=env)))
    sandbox.until(lambda: "waiting" in sandbox.container("late").get("state", {}), "the wait for the Secret")
    sandbox.kubectl("create", "secret", "generic", "late", "--from-literal=http=a")
    sandbox.await_ready("late", 1)
    sandbox.kubectl("delete", "pod", "late")


def test_a_container_that_fails_its_liveness_probe_is_restarted(sandbox: Sandbox) -> None:
    probe = {"httpGet": {"path": "/missing", "port": 5000}, "periodSeconds": 1, "failureThreshold": 2}
    # Not before it serves, or it would not get as far as a 404, nor hear of SIGTERM.
    started = {"httpGet": {"path": "/", "port": 5000}, "periodSeconds": 1, "failureThreshold": int(PATIENCE_SECONDS)}
    sandbox.apply(pod("sick", registry(startupProbe=started, livenessProbe=probe)))
    sandbox.until(lambda: sandbox.container("sick").get("restartCount", 0) >= 1, "a restart")
    assert sandbox.container("sick")["lastState"]["terminated"]["exitCode"] == 2
    assert '"GET /missing HTTP/1.1" 404' in sandbox.kubectl("logs", "sick", "--previous")

    def messages() -> set[str]:
        events = sandbox.get("events", "--field-selector", "involvedObject.name=sick,reason=Unhealthy")["items"]
        return {one["message"] for one in events}

    unhealthy = "Liveness probe failed: HTTP probe failed with statuscode: 404"
    sandbox.until(lambda: unhealthy in messages(), "the event")
    sandbox.kubectl("delete", "pod", "sick")


def test_a_pod_that_need_not_run_again_succeeds_and_its_log_can_be_read(sandbox: Sandbox) -> None:
    sandbox.apply(pod("once", registry(args=["--version"]), restartPolicy="Never"))
    sandbox.until(lambda: sandbox.get("pod", "once")["status"]["phase"] == "Succeeded", "success")
    assert sandbox.kubectl("logs", "once").startswith("registry github.com/distribution/distribution/v3")
    assert sandbox.kubectl("logs", "once", "--tail=0") == ""
    sandbox.kubectl("delete", "pod", "once")


def test_a_node_that_is_killed_takes_its_containers_along_and_starts_them_again(sandbox: Sandbox, web: str) -> None:
    before = sandbox.await_ready(web, 2)
    (process,) = [one for one in running(sandbox.layout) if one.name == "node"]
    containers = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    assert psutil.wait_procs(containers, timeout=PATIENCE_SECONDS)[1] == []
    assert [answers(sandbox.url(one)) for one in before] == [None, None]
    sandbox.start_node()

    after: list[dict[str, Any]] = []

    def back() -> bool:
        """The statuses of before are there until the node has written its own."""
        after[:] = sandbox.pods(web)
        return all(
            is_ready(one) and one["status"]["containerStatuses"][0]["restartCount"] >= 1 for one in after
        ) and all(answers(sandbox.url(one)) == 200 for one in after)

    sandbox.until(back, "answers of restarted containers")
    assert {one["metadata"]["uid"] for one in after} == {one["metadata"]["uid"] for one in before}


def test_the_node_follows_again_when_the_api_server_comes_back(sandbox: Sandbox, web: str) -> None:
    before = {one["metadata"]["uid"] for one in sandbox.await_ready(web, 2)}
    (process,) = [one for one in running(sandbox.layout) if one.name == "kube-apiserver"]
    os.kill(process.pid, signal.SIGKILL)
    sandbox.until(lambda: process not in running(sandbox.layout), "the end of the API server")
    Cluster(sandbox.layout, sandbox.tools.binaries).start()
    sandbox.kubectl("delete", "pod", "-l", f"app={web}", "--wait=false")
    sandbox.until(lambda: not before & {one["metadata"]["uid"] for one in sandbox.pods(web)}, "new pods")
    sandbox.await_ready(web, 2)


def test_a_node_that_is_ended_ends_its_containers_and_exits_in_order(sandbox: Sandbox, web: str) -> None:
    (process,) = [one for one in running(sandbox.layout) if one.name == "node"]
    containers = psutil.Process(process.pid).children(recursive=True)
    assert containers
    assert stop(sandbox.layout, ["node"]) == ["node"]
    assert psutil.wait_procs(containers, timeout=PATIENCE_SECONDS)[1] == []
    assert "Traceback" not in log_file(sandbox.layout, "node").read_text()
