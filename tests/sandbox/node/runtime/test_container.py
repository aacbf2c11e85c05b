"""Real containers: this Python with the host's libraries mounted into an empty image shows what it may do there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from sandbox.node.pod_network import PodNetwork
from sandbox.node.runtime.cgroups import Cgroup, Cgroups, Resources
from sandbox.node.runtime.container import CAPABILITIES, Container, ContainerSpec, ContainerStartError, Mount
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.sandbox

PYTHON = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
LIBRARIES = [
    Mount(path, str(path), True) for path in map(Path, ("/usr", "/lib", "/lib64", sys.base_prefix)) if path.exists()
]

LOOK = """
import json, os, socket, sys
def tried(path):
    try:
        open(path, 'w').write('x')
        return 'written'
    except OSError as error:
        return os.strerror(error.errno)
status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
open('/dev/null', 'w').write('x')
print(json.dumps({
    'uid': os.getuid(), 'gid': os.getgid(), 'pid': os.getpid(), 'host': socket.gethostname(), 'cwd': os.getcwd(),
    'effective': int(status['CapEff'], 16), 'bounding': int(status['CapBnd'], 16),
    'no_new_privileges': status['NoNewPrivs'].strip(), 'environment': dict(os.environ), 'arguments': sys.argv[1:],
    'processes': [name for name in os.listdir('/proc') if name.isdigit()],
    'root': tried('/new'), 'tmp': tried('/tmp/new'), 'random': len(open('/dev/urandom', 'rb').read(8)),
    'entries': sorted(os.listdir('/')), 'hosts': open('/etc/hosts').read(),
    'resolver': open('/etc/resolv.conf').read(),
}), flush=True)
"""
WAIT_FOR_SIGTERM = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print('ready', flush=True)
time.sleep(600)
"""


@pytest.fixture
def spec(tmp_path: Path) -> ContainerSpec:
    (tmp_path / "image" / "tmp").mkdir(parents=True)
    (tmp_path / "image" / "tmp").chmod(0o1777)
    return ContainerSpec(
        image=tmp_path / "image",
        argv=[PYTHON, "-c", LOOK],
        environment={"PATH": "/bin", "LANG": "C.UTF-8"},
        hostname="web",
        pod_ip="10.104.1.1",
        name_resolution="nameserver 192.0.2.53\n",
        mounts=LIBRARIES,
    )


def in_pod(test: Callable[[PodNetwork], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        async with asyncio.timeout(PATIENCE_SECONDS):
            network = await PodNetwork.open(hostname="web", addresses=["10.104.1.1"], ports={}, egress={})
            try:
                return await test(network)
            finally:
                await network.close()

    return asyncio.run(run())


async def started(spec: ContainerSpec, network: PodNetwork, cgroup: Cgroup | None = None) -> tuple[Container, Path]:
    log = spec.image.parent / f"{os.urandom(4).hex()}.log"
    fd = os.open(log, os.O_CREAT | os.O_WRONLY)
    try:
        return await Container.start(spec, network.namespaces, spec.image.parent / "stage", (fd, fd), cgroup), log
    finally:
        os.close(fd)


async def says(log: Path, text: str) -> None:
    while text not in log.read_text():
        await asyncio.sleep(0.01)


def look(spec: ContainerSpec) -> dict[str, Any]:
    async def run(network: PodNetwork) -> dict[str, Any]:
        container, log = await started(spec, network)
        assert await container.wait() == 0, log.read_text()
        return json.loads(log.read_text())

    return in_pod(run)


def mask(*names: str) -> int:
    return sum(1 << CAPABILITIES[name] for name in names)


def test_a_container_sees_its_own_processes_files_name_and_environment_only(spec: ContainerSpec) -> None:
    seen = look(spec)
    assert (seen["pid"], seen["processes"], seen["host"]) == (1, ["1"], "web")
    assert seen["environment"] == {"PATH": "/bin", "LANG": "C.UTF-8"}
    assert seen["resolver"] == "nameserver 192.0.2.53\n"
    tops = {mount.target.split("/")[1] for mount in LIBRARIES}
    assert set(seen["entries"]) == {"dev", "etc", "proc", "tmp", "new"} | tops
    assert "10.104.1.1\tweb" in seen["hosts"]
    assert seen["random"] == 8


def test_root_may_write_its_own_layer_and_never_the_image(spec: ContainerSpec) -> None:
    seen = look(spec)
    assert (seen["uid"], seen["gid"], seen["root"], seen["tmp"]) == (0, 0, "written", "written")
    assert seen["effective"] == mask(*CAPABILITIES)
    assert not (spec.image / "new").exists()
    assert look(spec)["root"] == "written"


def test_a_read_only_root_filesystem_can_not_be_written_by_root_either(spec: ContainerSpec) -> None:
    seen = look(replace(spec, read_only=True))
    assert (seen["root"], seen["tmp"]) == ("Read-only file system", "Read-only file system")


def test_another_user_writes_only_what_all_may_write_and_has_no_capabilities(spec: ContainerSpec) -> None:
    seen = look(replace(spec, uid=65532, gid=1000))
    assert (seen["uid"], seen["gid"], seen["effective"]) == (65532, 1000, 0)
    assert (seen["root"], seen["tmp"]) == ("Read-only file system", "written")


def test_capabilities_and_new_privileges_are_limited_as_asked(spec: ContainerSpec) -> None:
    limited = replace(spec, capabilities=frozenset({"CHOWN"}), no_new_privileges=True)
    seen = look(limited)
    assert (seen["effective"], seen["bounding"]) == (mask("CHOWN"), mask("CHOWN"))
    assert seen["no_new_privileges"] == "1"
    assert look(spec)["no_new_privileges"] == "0"


def test_files_are_mounted_where_they_are_asked_for_and_written_where_they_may_be(
    spec: ContainerSpec, tmp_path: Path
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("k")
    (tmp_path / "data").mkdir()
    (tmp_path / "ca.pem").write_text("PEM")
    mounts = [
        Mount(tmp_path / "secret", "/run/secrets/a", True),
        Mount(tmp_path / "data", "/data", False),
        Mount(tmp_path / "ca.pem", "/etc/ssl/certs/ca-certificates.crt", True),
    ]
    script = """
print(open('/run/secrets/a/key').read(), open('/etc/ssl/certs/ca-certificates.crt').read())
open('/data/new', 'w').write('d')
try:
    open('/run/secrets/a/key', 'w')
except OSError as error:
    print(error.strerror)
"""

    async def run(network: PodNetwork) -> str:
        one = replace(spec, uid=65532, read_only=True, argv=[PYTHON, "-c", script], mounts=[*LIBRARIES, *mounts])
        container, log = await started(one, network)
        await container.wait()
        return log.read_text()

    assert in_pod(run) == "k PEM\nRead-only file system\n"
    assert (tmp_path / "data" / "new").read_text() == "d"


def test_a_command_is_looked_up_in_the_containers_path_and_its_working_directory_is_made(spec: ContainerSpec) -> None:
    path = {"PATH": f"/nowhere:{Path(PYTHON).parent}"}
    seen = look(replace(spec, argv=[Path(PYTHON).name, "-c", LOOK, "a b"], environment=path, directory="/work/here"))
    assert (seen["cwd"], seen["arguments"]) == ("/work/here", ["a b"])


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("missing", 'exec: "missing": executable file not found in $PATH'),
        ("/bin/missing", 'exec: "/bin/missing": no such file or directory'),
    ],
)
def test_a_command_that_is_not_there_is_an_error_as_a_runtime_words_it(
    spec: ContainerSpec, command: str, message: str
) -> None:
    with pytest.raises(ContainerStartError) as raised:
        in_pod(lambda network: started(replace(spec, argv=[command]), network))
    assert str(raised.value) == message


def test_sigterm_reaches_the_first_process_whose_exit_code_is_known(spec: ContainerSpec) -> None:
    async def run(network: PodNetwork) -> int:
        container, log = await started(replace(spec, argv=[PYTHON, "-c", WAIT_FOR_SIGTERM]), network)
        await says(log, "ready")
        container.terminate()
        return await container.wait()

    assert in_pod(run) == 7


def test_a_killed_container_leaves_no_process_and_exits_with_137(spec: ContainerSpec) -> None:
    script = f"import os\nif os.fork() == 0:\n    os.setsid()\n{WAIT_FOR_SIGTERM}"

    async def run(network: PodNetwork) -> tuple[int, list[psutil.Process]]:
        container, log = await started(replace(spec, argv=[PYTHON, "-c", script]), network)
        await says(log, "ready\nready")
        inside = psutil.Process(container.pid)
        everything = [inside, *inside.children(recursive=True)]
        assert len(everything) == 2
        container.kill()
        code = await container.wait()
        _, alive = psutil.wait_procs(everything, timeout=PATIENCE_SECONDS)
        return code, alive

    assert in_pod(run) == (137, [])


def test_a_container_dies_with_the_process_that_started_it(spec: ContainerSpec, tmp_path: Path) -> None:
    async def run(network: PodNetwork) -> list[psutil.Process]:
        container, log = await started(replace(spec, argv=[PYTHON, "-c", WAIT_FOR_SIGTERM], uid=65532), network)
        await says(log, "ready")
        inside = psutil.Process(container.pid)
        parent = inside.parent()
        assert parent
        parent.send_signal(signal.SIGKILL)
        return psutil.wait_procs([inside], timeout=PATIENCE_SECONDS)[1]

    assert in_pod(run) == []


def test_a_command_runs_inside_with_the_containers_identity(spec: ContainerSpec) -> None:
    async def run(network: PodNetwork) -> tuple[int, dict[str, Any]]:
        one = replace(spec, argv=[PYTHON, "-c", WAIT_FOR_SIGTERM], uid=65532, capabilities=frozenset())
        container, log = await started(one, network)
        await says(log, "ready")
        code, output, _ = await container.execute([PYTHON, "-c", LOOK], PATIENCE_SECONDS)
        failed, nothing, errors = await container.execute([PYTHON, "-c", "raise SystemExit('no')"], PATIENCE_SECONDS)
        assert (failed, nothing, errors) == (1, b"", b"no\n")
        with pytest.raises(ContainerStartError, match="executable file not found"):
            await container.execute(["missing"], PATIENCE_SECONDS)
        with pytest.raises(TimeoutError):
            await container.execute([PYTHON, "-c", "import time; time.sleep(600)"], 0.3)
        container.kill()
        await container.wait()
        return code, json.loads(output)

    code, seen = in_pod(run)
    assert (code, seen["uid"], seen["host"], seen["effective"]) == (0, 65532, "web", 0)
    assert "1" in seen["processes"]
    assert seen["environment"]["LANG"] == "C.UTF-8"


BUSY = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    pass
print(time.process_time())
"""


def test_a_container_takes_no_more_cpu_than_its_cgroup_may(spec: ContainerSpec) -> None:
    node = Cgroups.of_this_process(spec.image)
    if "cpu" not in node.limits:
        pytest.skip("this user may make no cgroup for CPU on this machine")

    async def run(network: PodNetwork) -> float:
        cgroup = node.make("busy", Resources(cpu_quota=10_000, cpu_period=100_000))
        try:
            container, _ = await started(replace(spec, argv=[PYTHON, "-c", BUSY, "inf"]), network, cgroup)
            code, used, errors = await container.execute([PYTHON, "-c", BUSY, "1"])
            assert code == 0, errors
            assert node.present()
            always = psutil.Process(container.pid).cpu_times()
            container.kill()
            await container.wait()
            return float(used) + always.user + always.system
        finally:
            cgroup.remove()

    # Two seconds on two idle processors; a tenth of one, and what their starts take, if limited.
    assert in_pod(run) < 1
    assert node.present() == []
