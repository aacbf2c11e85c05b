"""The real control plane and the real kubelet: Kubernetes decides, the registry runs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import Any

import psutil
import pytest

from sandbox.cluster.control_plane import Cluster
from sandbox.node.directories import NodeDirectories
from sandbox.processes import log_file, running, stop
from sandbox.tools.pins import KUBERNETES_VERSION
from tests.sandbox.account import ACCOUNT
from tests.sandbox.node.node_sandbox import (
    READ_ONLY,
    NodeSandbox,
    answers,
    deployment,
    endpoints,
    is_ready,
    pod,
    registry,
)
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def web(sandbox: NodeSandbox) -> str:
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


def test_two_replicas_on_the_same_port_become_ready_endpoints_and_take_pushes(sandbox: NodeSandbox, web: str) -> None:
    pods = sandbox.await_ready(web, 2)
    sandbox.until(lambda: endpoints(sandbox, web) == {one["status"]["podIP"] for one in pods}, "both endpoints")
    empty = "/dev/null"
    for one in pods:
        name = f"{sandbox.url(one).removeprefix('http://')}/app:1"
        crane = [sandbox.tools.binaries / "crane", "append", "--insecure", "-f", empty, "-t", name]
        subprocess.run(crane, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        assert answers(f"{sandbox.url(one)}/v2/app/manifests/1") == 200


def test_the_node_is_the_accounts_instance(sandbox: NodeSandbox) -> None:
    node = sandbox.get("node", ACCOUNT.private_dns_name)
    assert node["spec"]["providerID"] == f"aws:///us-east-1a/{ACCOUNT.instance_id}"
    assert {"type": "InternalIP", "address": ACCOUNT.private_ip} in node["status"]["addresses"]
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "us-east-1a"
    assert node["status"]["nodeInfo"]["kubeletVersion"] == KUBERNETES_VERSION

    def leases() -> dict[str, int]:
        found = sandbox.get("leases", "-n", "kube-node-lease")["items"]
        return {one["metadata"]["name"]: one["spec"]["leaseDurationSeconds"] for one in found}

    sandbox.until(lambda: leases() == {ACCOUNT.private_dns_name: 40}, "the node's lease")


def test_a_rolling_update_replaces_pods_and_never_lacks_a_ready_endpoint(sandbox: NodeSandbox, web: str) -> None:
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


def test_a_changed_secret_reaches_its_volume(sandbox: NodeSandbox, web: str) -> None:
    (one, _) = sandbox.await_ready(web, 2)
    files = sandbox.volume(one, "secret", "users")
    assert (files / "u").read_text() == "1"
    sandbox.kubectl("patch", "secret", "web", "-p", '{"stringData": {"u": "2"}}')
    sandbox.until(lambda: (files / "u").read_text() == "2", "the new content")


def test_a_pod_deleted_gets_its_pre_stop_hook_and_sigterm_before_it_is_gone(sandbox: NodeSandbox) -> None:
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
    directory = NodeDirectories(sandbox.layout).pod(one["metadata"]["uid"])
    sandbox.until(lambda: not directory.exists(), "the end of its directory")


WAITING: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "no-image": ({"image": "registry:2.2.1"}, {}, "ImagePullBackOff", "connect: connection refused"),
    "other-digest": (
        {"image": f"registry:3.1.1@sha256:{'0' * 64}"},
        {},
        "ImagePullBackOff",
        "failed to pull and unpack image",
    ),
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
        {"volumeMounts": [{"name": "h", "mountPath": "/h"}]},
        {"volumes": [{"name": "h", "hostPath": {"path": "/"}}]},
        "CreateContainerError",
        "the sandbox's node can't honour: hostPath / at /h",
    ),
    "panics": ({"env": [{"name": "REGISTRY_STORAGE", "value": "S3"}]}, {}, "CrashLoopBackOff", "back-off 10s"),
    "no-command": ({"command": ["missing"]}, {}, "CrashLoopBackOff", "back-off 10s restarting failed container"),
}
"""Pod name to its container, the rest of its spec, and why it waits."""
LAST = {"panics": ("Error", 2), "no-command": ("StartError", 128)}


@pytest.mark.parametrize("name", WAITING)
def test_what_keeps_a_container_from_running_is_in_its_status(sandbox: NodeSandbox, web: str, name: str) -> None:
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


def test_what_keeps_a_volume_from_being_there_is_in_the_pods_events(sandbox: NodeSandbox) -> None:
    volume = {"name": "s", "secret": {"secretName": "none"}}
    sandbox.apply(pod("no-volume", registry(volumeMounts=[{"name": "s", "mountPath": "/s"}]), volumes=[volume]))
    failed = ("FailedMount", 'MountVolume.SetUp failed for volume "s" : secret "none" not found')
    sandbox.until(lambda: failed in sandbox.events("no-volume"), "the event")
    assert sandbox.container("no-volume")["state"] == {"waiting": {"reason": "ContainerCreating"}}
    sandbox.kubectl("delete", "pod", "no-volume")


def test_a_secret_that_comes_later_lets_the_container_start(sandbox: NodeSandbox) -> None:
    env = [{"name": "REGISTRY_HTTP_SECRET", "valueFrom": {"secretKeyRef": {"name": "late", "key": "http"}}}]
    sandbox.apply(pod("late", registry(env=env)))
    sandbox.until(lambda: "waiting" in sandbox.container("late").get("state", {}), "the wait for the Secret")
    sandbox.kubectl("create", "secret", "generic", "late", "--from-literal=http=a")
    sandbox.await_ready("late", 1)
    sandbox.kubectl("delete", "pod", "late")


def test_a_container_that_fails_its_liveness_probe_is_restarted(sandbox: NodeSandbox) -> None:
    probe = {"httpGet": {"path": "/missing", "port": 5000}, "periodSeconds": 1, "failureThreshold": 2}
    # Not before it serves, or it would not get as far as a 404, nor hear of SIGTERM.
    started = {"httpGet": {"path": "/", "port": 5000}, "periodSeconds": 1, "failureThreshold": int(PATIENCE_SECONDS)}
    sandbox.apply(pod("sick", registry(startupProbe=started, livenessProbe=probe)))
    sandbox.until(lambda: sandbox.container("sick").get("restartCount", 0) >= 1, "a restart")
    assert sandbox.container("sick")["lastState"]["terminated"]["exitCode"] == 2
    assert '"GET /missing HTTP/1.1" 404' in sandbox.kubectl("logs", "sick", "--previous")

    unhealthy = ("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 404")
    sandbox.until(lambda: unhealthy in sandbox.events("sick"), "the event")
    sandbox.kubectl("delete", "pod", "sick")


def test_a_pod_that_need_not_run_again_succeeds_and_its_log_can_be_read(sandbox: NodeSandbox) -> None:
    sandbox.apply(pod("once", registry(args=["--version"]), restartPolicy="Never"))
    sandbox.until(lambda: sandbox.get("pod", "once")["status"]["phase"] == "Succeeded", "success")
    assert sandbox.kubectl("logs", "once").startswith("registry github.com/distribution/distribution/v3")
    assert sandbox.kubectl("logs", "once", "--tail=0") == ""
    sandbox.kubectl("delete", "pod", "once")


def test_a_node_that_is_killed_takes_its_containers_along_and_starts_them_again(sandbox: NodeSandbox, web: str) -> None:
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
            is_ready(one)
            and "podIP" in one["status"]  # its former one is no more
            and one["status"]["containerStatuses"][0]["restartCount"] >= 1
            and answers(sandbox.url(one)) == 200
            for one in after
        )

    sandbox.until(back, "answers of restarted containers")
    assert {one["metadata"]["uid"] for one in after} == {one["metadata"]["uid"] for one in before}


def test_the_node_follows_again_when_the_api_server_comes_back(sandbox: NodeSandbox, web: str) -> None:
    before = {one["metadata"]["uid"] for one in sandbox.await_ready(web, 2)}
    (process,) = [one for one in running(sandbox.layout) if one.name == "kube-apiserver"]
    os.kill(process.pid, signal.SIGKILL)
    sandbox.until(lambda: process not in running(sandbox.layout), "the end of the API server")
    Cluster(sandbox.layout, sandbox.tools.binaries).start()
    sandbox.kubectl("delete", "pod", "-l", f"app={web}", "--wait=false")
    sandbox.until(lambda: not before & {one["metadata"]["uid"] for one in sandbox.pods(web)}, "new pods")
    sandbox.await_ready(web, 2)


def test_a_kubelet_that_ends_takes_its_node_along_which_says_so(sandbox: NodeSandbox, web: str) -> None:
    sandbox.await_ready(web, 2)
    node, kubelet = sandbox.node_process(), sandbox.kubelet()
    everything = [node, *node.children(recursive=True)]
    kubelet.kill()
    assert psutil.wait_procs(everything, timeout=PATIENCE_SECONDS)[1] == []
    assert "error: the kubelet has ended with -9, see " in log_file(sandbox.layout, "node").read_text()
    sandbox.start_node()
    sandbox.until(lambda: sandbox.is_served(web), "answers of restarted containers")


def test_a_node_that_is_ended_ends_its_containers_and_exits_in_order(sandbox: NodeSandbox, web: str) -> None:
    (process,) = [one for one in running(sandbox.layout) if one.name == "node"]
    containers = psutil.Process(process.pid).children(recursive=True)
    assert containers
    assert stop(sandbox.layout, ["node"]) == ["node"]
    assert psutil.wait_procs(containers, timeout=PATIENCE_SECONDS)[1] == []
    assert "Traceback" not in log_file(sandbox.layout, "node").read_text()
    sandbox.start_node()
    sandbox.until(lambda: sandbox.is_served(web), "answers of restarted containers")
