"""The kubelet as an ordinary user: what it may touch, what it is kept from, and what of pods it keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sandbox.node.directories import NodeDirectories
from sandbox.node.runtime.cgroups import Cgroups
from tests.descendants import descendants
from tests.end_to_end.images import push_program
from tests.sandbox.node.node_sandbox import PROJECT, NodeSandbox, answers, pod, registry
from tests.sandbox.node.served_registry import ALICE, Registry
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.sandbox

RETUNED_BY_KUBELETS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")
"""Below /proc/sys: what the kubelet sets where it may (setupKernelTunables in pkg/kubelet/cm)."""
LIMITS = {
    "cpu.cfs_period_us": "100000",
    "cpu.cfs_quota_us": "25000",
    "memory.limit_in_bytes": f"{64 * 2**20}",
    "cpu.max": "25000 100000",
    "memory.max": f"{64 * 2**20}",
}
"""What the files of a cgroup say of a limit of 250m and 64Mi; the first three in version 1, the others in version 2."""
INSIDE = """
import os, sys
from sandbox.node.runtime import namespaces as ns
for namespace in [os.open(f'/proc/{sys.argv[1]}/ns/{name}', os.O_RDONLY) for name in ('user', 'net', 'mnt')]:
    ns.setns(namespace)
"""
CONNECT = """
import socket
for address in sys.argv[2:]:
    try:
        socket.create_connection((address, 80), timeout=5)
        print('connected')
    except OSError as error:
        print(error.strerror)
"""


def in_the_kubelets_place(sandbox: NodeSandbox, script: str, *arguments: str) -> list[str]:
    """The lines that a Python script prints in the kubelet's namespaces."""
    command = [sys.executable, "-c", INSIDE + script, str(sandbox.kubelet().pid), *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def mounts(pid: int) -> dict[str, set[str]]:
    """Mount point to the options of each mount there, as the process sees them: proc(5)."""
    found: dict[str, set[str]] = {}
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        fields = line.split()
        found[fields[4]] = set(fields[5].split(","))  # the last one is on top
    return found


def cgroups(sandbox: NodeSandbox) -> Cgroups:
    return Cgroups.of_this_process(NodeDirectories(sandbox.layout).stages)


def test_nothing_of_the_machine_can_be_written_by_the_kubelet(sandbox: NodeSandbox) -> None:
    writable = {place for place, options in mounts(sandbox.kubelet().pid).items() if "ro" not in options}
    own = ("/var/lib", "/var/log")
    assert {place for place in writable if not place.startswith(own)} == set()
    assert {"/var/lib/kubelet", "/var/log/pods"} <= writable
    tuned = [(f"/proc/sys/{name}", Path("/proc/sys", name).read_text()) for name in RETUNED_BY_KUBELETS]
    write = """
for number in range(2, len(sys.argv), 2):
    try:
        open(sys.argv[number], 'w').write(sys.argv[number + 1])
        print('written')
    except OSError as error:
        print('refused')
"""
    assert in_the_kubelets_place(sandbox, write, *(text for one in tuned for text in one)) == ["refused"] * len(tuned)
    assert [(name, Path(name).read_text()) for name, _ in tuned] == tuned


def test_no_packet_of_the_kubelet_leaves_the_machine(sandbox: NodeSandbox) -> None:
    sandbox.apply(pod("routed", registry()))
    (one,) = sandbox.await_ready("routed", 1)
    kubelet = sandbox.kubelet().pid
    assert Path(f"/proc/{kubelet}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    routes = [line.split() for line in Path(f"/proc/{kubelet}/net/route").read_text().splitlines()[1:]]
    pod_ip = one["status"]["podIP"]
    device = f"veth{bytes(map(int, pod_ip.split('.'))).hex()}"
    destination = bytes(map(int, reversed(pod_ip.split(".")))).hex().upper()
    assert (device, destination, "FFFFFFFF") in [(fields[0], fields[1], fields[7]) for fields in routes]
    assert {fields[0][:4] for fields in routes} == {"veth"}
    assert {fields[7] for fields in routes} == {"FFFFFFFF"}  # to one pod each
    nowhere = ["192.0.2.1", sandbox.layout.pod_network.replace("0.0/16", "255.254")]
    assert in_the_kubelets_place(sandbox, CONNECT, *nowhere) == ["Network is unreachable"] * 2
    assert in_the_kubelets_place(sandbox, CONNECT, pod_ip) == ["Connection refused"]
    sandbox.kubectl("delete", "pod", "routed")


def test_the_kubelet_is_kept_from_the_machines_services_and_cgroups(sandbox: NodeSandbox) -> None:
    kubelet = sandbox.kubelet()
    root = Path(f"/proc/{kubelet.pid}/root")
    path = kubelet.environ()["PATH"]
    assert {entry.name for entry in (root / path[1:]).iterdir()} == {"kubelet", "mount", "umount"}
    # Where it was started, whichever version of cgroups the machine has: it makes none.
    assert Path(f"/proc/{kubelet.pid}/cgroup").read_text() == Path("/proc/self/cgroup").read_text()


def test_a_probe_reaches_a_port_that_the_pod_does_not_declare(sandbox: NodeSandbox) -> None:
    probe = {"httpGet": {"path": "/", "port": 5000}, "periodSeconds": 1}
    sandbox.apply(pod("undeclared", registry(ports=[], readinessProbe=probe, livenessProbe=None)))
    (one,) = sandbox.await_ready("undeclared", 1)
    assert answers(sandbox.url(one)) is None  # what is not declared is not served outside
    sandbox.kubectl("delete", "pod", "undeclared")


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "host-network": ({}, {"hostNetwork": True}, "hostNetwork"),
    "host-pid": ({}, {"hostPID": True}, "hostPID"),
    "host-ipc": ({}, {"hostIPC": True}, "hostIPC"),
    "privileged": ({"securityContext": {"privileged": True}}, {}, "privileged"),
}
"""Pod name to its container, the rest of its spec, and what its event names."""


def test_what_the_node_can_not_keep_is_named_in_the_pods_event(sandbox: NodeSandbox) -> None:
    sandbox.apply(*(pod(name, registry(**container), **spec) for name, (container, spec, _) in REFUSED.items()))
    for name, (_, _, field) in REFUSED.items():
        text = f"the sandbox's node can't honour: {field}"

        def told(name: str = name, text: str = text) -> bool:
            return any(message.endswith(text) or f"{text};" in message for _, message in sandbox.events(name))

        sandbox.until(told, f"the event of {name}")
    sandbox.kubectl("delete", "pod", "--grace-period=0", "--force", *REFUSED)


def test_a_container_over_its_memory_limit_is_ended_and_restarted(sandbox: NodeSandbox) -> None:
    sandbox.apply(pod("greedy", registry(resources={"limits": {"memory": "6Mi"}})))
    sandbox.until(lambda: sandbox.container("greedy").get("restartCount", 0) >= 1, "a restart")
    last = sandbox.container("greedy")["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"]) == ("OOMKilled", 137)
    sandbox.kubectl("delete", "pod", "greedy", "--grace-period=0", "--force")


def test_limits_are_kept_by_a_cgroup_where_the_user_may_make_one(sandbox: NodeSandbox) -> None:
    made = cgroups(sandbox)
    if not made.limits:
        pytest.skip("this user may make no cgroup on this machine: memory is watched, CPU is not limited")
    sandbox.apply(pod("limited", registry(resources={"limits": {"cpu": "250m", "memory": "64Mi"}})))
    sandbox.await_ready("limited", 1)
    read = {
        file.name: file.read_text().strip() for one in made.present() for file in one.iterdir() if file.name in LIMITS
    }
    assert read.items() <= LIMITS.items()
    assert len(read) == {1: 3, 2: 2}[made.version]
    sandbox.kubectl("delete", "pod", "limited")
    sandbox.until(lambda: not made.present(), "the removal of its cgroups")


def test_init_containers_run_in_turn_before_the_others(sandbox: NodeSandbox) -> None:
    first = [registry(name=name, args=["--version"], readinessProbe=None, livenessProbe=None) for name in ("a", "b")]
    sandbox.apply(pod("prepared", registry(), initContainers=first))
    (one,) = sandbox.await_ready("prepared", 1)
    ended = [each["state"]["terminated"] for each in one["status"]["initContainerStatuses"]]
    assert [each["reason"] for each in ended] == ["Completed", "Completed"]
    assert ended[0]["finishedAt"] <= ended[1]["startedAt"]
    assert sandbox.kubectl("logs", "prepared", "--container=b").startswith("registry github.com/distribution")
    sandbox.kubectl("delete", "pod", "prepared")


def test_logs_are_shown_with_all_flags(sandbox: NodeSandbox, tmp_path: Path) -> None:
    sandbox.apply(pod("talks", registry(env=[{"name": "REGISTRY_LOG_FORMATTER", "value": "json"}])))
    (one,) = sandbox.await_ready("talks", 1)
    assert answers(f"{sandbox.url(one)}/v2/asked-for/tags/list") == 404
    asked = '"http.request.uri":"/v2/asked-for/tags/list"'
    sandbox.until(lambda: asked in sandbox.kubectl("logs", "talks"), "the request in the log")
    since = one["status"]["startTime"]
    shown = sandbox.kubectl("logs", "talks", f"--since-time={since}", "--timestamps", "--prefix", "--tail=-1")
    (line,) = [line for line in shown.splitlines() if asked in line and "err.code" in line]
    assert line.startswith("[pod/talks/registry] 20")
    assert sandbox.kubectl("logs", "talks", "--limit-bytes=10") == sandbox.kubectl("logs", "talks")[:10]
    assert len(sandbox.kubectl("logs", "talks", "--tail=2", "--since=1h").splitlines()) == 2
    command = [sandbox.tools.binaries / "kubectl", f"--kubeconfig={sandbox.layout.kubeconfig}", "logs", "--follow"]
    followed = tmp_path / "followed"
    with followed.open("w") as file, subprocess.Popen([*command, "talks"], stdout=file) as following:
        sandbox.until(lambda: asked in followed.read_text(), "the request in the log that is followed")
        assert following.poll() is None
        sandbox.kubectl("delete", "pod", "talks", "--wait=false")
        assert following.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize(
    "command",
    [("exec", "quiet", "--", "registry"), ("attach", "quiet"), ("port-forward", "quiet", ":5000")],
    ids=lambda command: command[0],
)
def test_a_command_that_streams_says_that_it_is_not_here(sandbox: NodeSandbox, command: tuple[str, ...]) -> None:
    sandbox.apply(pod("quiet", registry()))
    sandbox.await_ready("quiet", 1)
    kubectl = [sandbox.tools.binaries / "kubectl", f"--kubeconfig={sandbox.layout.kubeconfig}", *command]
    done = subprocess.run(kubectl, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode != 0
    assert f"kubectl {command[0]} is not in this sandbox" in done.stderr


def pull_secret(registry: Registry, password: str) -> dict[str, Any]:
    logins = {"auths": {registry.host: {"username": ALICE.username, "password": password}}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "pull"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps(logins)},
    }


@pytest.fixture
def store(sandbox: NodeSandbox, tmp_path: Path) -> Iterator[Registry]:
    made = Registry(sandbox.layout, sandbox.tools, tmp_path)
    yield made
    made.stop()


def test_an_image_is_pulled_once_the_secret_is_right_and_its_pod_has_a_token_for_the_api_server(
    sandbox: NodeSandbox, store: Registry, tmp_path: Path
) -> None:
    image = f"{store.host}/team/kubectl:1"
    push_program(store.crane, image, tmp_path, sandbox.tools.binaries / "kubectl", "--cmd", "auth,whoami")
    container = {"name": "whoami", "image": image, "args": ["auth", "whoami", "-o", "json"]}
    # Its token is in a file that the kubelet gives to the pod's user: with one user mapped it can't.
    spec = {"restartPolicy": "Never", "securityContext": {"runAsUser": 65532, "runAsNonRoot": True}}
    sandbox.apply(pod("whoami", container, **spec, imagePullSecrets=[{"name": "pull"}]))

    def reasons() -> set[str]:
        return {message for reason, message in sandbox.events("whoami") if reason == "Failed"}

    def refused() -> bool:
        return sum("UNAUTHORIZED: authentication required" in one for one in reasons()) == 1

    sandbox.until(refused, "the refusal without a secret")
    assert "Error: ErrImagePull" in reasons()
    sandbox.until(lambda: "Error: ImagePullBackOff" in reasons(), "the wait for the next try")
    sandbox.apply(pull_secret(store, ALICE.password))
    sandbox.until(lambda: sandbox.get("pod", "whoami")["status"]["phase"] in ("Succeeded", "Failed"), "its end")
    assert '"username": "system:serviceaccount:default:default"' in sandbox.kubectl("logs", "whoami")
    (status,) = sandbox.get("pod", "whoami")["status"]["containerStatuses"]
    assert status["imageID"] == f"{store.host}/team/kubectl@{store.crane('digest', image)}"
    sandbox.kubectl("delete", "pod", "whoami")


def test_a_container_sees_its_own_processes_only(sandbox: NodeSandbox) -> None:
    sandbox.apply(pod("alone", registry()))
    sandbox.await_ready("alone", 1)
    registries = descendants(sandbox.node_process(), lambda one: one.name() == "registry")
    seen = [
        {name.name for name in Path(f"/proc/{one.pid}/root/proc").iterdir() if name.name.isdigit()}
        for one in registries
    ]
    assert seen
    assert {frozenset(one) for one in seen} == {frozenset({"1"})}
    sandbox.kubectl("delete", "pod", "alone")


def what_is_left(sandbox: NodeSandbox) -> dict[str, Any]:
    """All that pods make: processes, mounts, namespaces and devices, files."""
    node, kubelet = sandbox.node_process(), sandbox.kubelet()
    return {
        "processes": {one.pid for one in node.children(recursive=True)},
        "mounts": {*mounts(node.pid), *mounts(kubelet.pid)},
        "namespaces": sum("net:[" in target for target in open_files(node.pid)),
        "devices": Path(f"/proc/{kubelet.pid}/net/dev").read_text().count("veth"),
        "pods": names(sandbox.layout.pods / "kubelet/pods"),
        "stages": names(sandbox.layout.pods / "stages"),
        "logs": names(sandbox.layout.container_logs),
        "cgroups": set(cgroups(sandbox).present()),
    }


def names(directory: Path) -> set[str]:
    """The paths of all that is below a directory, whatever goes meanwhile."""
    return {f"{place}/{name}" for place, inner, files in os.walk(directory) for name in (*inner, *files)}


def open_files(pid: int) -> Iterator[str]:
    """What the file descriptors of a process refer to."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(descriptor.readlink())


def test_fifty_pods_started_and_deleted_leave_nothing(sandbox: NodeSandbox) -> None:
    sandbox.kubectl("delete", "deployments,pods", "--all", "--grace-period=0", "--force")
    empty = {"devices": 0, "pods": set(), "stages": set(), "logs": set(), "cgroups": set()}
    sandbox.until(lambda: what_is_left(sandbox) | empty == what_is_left(sandbox), "a node without pods")
    before = what_is_left(sandbox)
    for turn in range(5):
        names = [f"short-{turn}-{number}" for number in range(10)]
        probes = {"readinessProbe": None, "livenessProbe": None}
        sandbox.apply(*(pod(name, registry(**probes), terminationGracePeriodSeconds=0) for name in names))
        for name in names:
            sandbox.await_ready(name, 1)
        sandbox.kubectl("delete", "pods", *names)
    left: dict[str, Any] = {}

    def nothing() -> bool:
        left.update(what_is_left(sandbox))
        return left == before

    sandbox.until(nothing, "the end of all that pods had")
