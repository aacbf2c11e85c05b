"""What the machine must have: each thing taken away is named, with the command that helps, before anything starts."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import machine
from sandbox.layout import PORTS, Layout
from sandbox.machine import missing_addresses, what_is_missing
from tests import networks
from tests.waiting import PATIENCE_SECONDS

CHECKOUT = Path(__file__).parents[2]
LAYOUT = Layout("machine", networks.MACHINE)

NO_UNSHARE = """
import ctypes
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
unshare = {"x86_64": 272, "aarch64": 97}[__import__("platform").machine()]
load, jump, give = 0x20, 0x15, 0x06  # of struct sock_filter: the system call's number; EPERM where it is unshare
filter = b"".join(
    code.to_bytes(2, "little") + bytes([yes, no]) + value.to_bytes(4, "little")
    for code, yes, no, value in
    [(load, 0, 0, 0), (jump, 0, 1, unshare), (give, 0, 0, 0x50001), (give, 0, 0, 0x7FFF0000)]
)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
buffer = ctypes.create_string_buffer(filter)
assert libc.prctl(22, 2, ctypes.byref(Program(4, ctypes.addressof(buffer)))) == 0, ctypes.get_errno()
"""
"""A seccomp profile as containers have it, which forbids unshare(2)."""

TRIAL = """
import sys
from pathlib import Path
from sandbox.node.runtime import namespaces as ns
{take_away}
from sandbox import machine
print(*machine.what_is_missing(Path(sys.argv[1])), sep="\\n")
"""


def missing_without(take_away: str, proc: str = "/proc", **environment: str) -> list[str]:
    """What is missing in a process that has had `take_away` done to it."""
    done = subprocess.run(
        [sys.executable, "-c", TRIAL.format(take_away=take_away), proc],
        cwd=CHECKOUT, env=os.environ | environment, capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def only(lines: list[str], word: str) -> str:
    (line,) = [line for line in lines if word in line]
    return line


@pytest.fixture
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """The kernel's settings of another machine, with memory enough."""
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "meminfo").write_text("MemTotal: 99000000 kB\nMemAvailable: 99000000 kB\n")
    return tmp_path


def test_user_namespaces_that_are_used_up_are_named_with_the_setting() -> None:
    lines = missing_without("ns.new_user_namespace(0, 0); Path('/proc/sys/user/max_user_namespaces').write_text('0')")
    assert "sudo sysctl -w user.max_user_namespaces=10000" in only(lines, "user.max_user_namespaces is 0")


def test_inotify_instances_that_are_used_up_are_named_with_the_setting() -> None:
    lines = missing_without("ns.new_user_namespace(0, 0); Path('/proc/sys/user/max_inotify_instances').write_text('3')")
    assert "sudo sysctl -w fs.inotify.max_user_instances=512" in only(lines, "inotify")


def test_network_namespaces_that_are_used_up_are_named_with_the_setting() -> None:
    lines = missing_without("ns.new_user_namespace(0, 0); Path('/proc/sys/user/max_net_namespaces').write_text('0')")
    assert "sudo sysctl -w user.max_net_namespaces=10000" in only(lines, "user.max_net_namespaces is 0")


def test_a_containers_seccomp_profile_is_named_with_dockers_option() -> None:
    line = only(missing_without(NO_UNSHARE), "seccomp profile")
    assert "Operation not permitted" in line
    assert "--security-opt seccomp=unconfined" in line


@pytest.mark.parametrize(
    ("setting", "forbidding", "remedy"),
    [("unprivileged_userns_clone", "0", "1"), ("apparmor_restrict_unprivileged_userns", "1", "0")],
)
def test_the_distributions_settings_are_named(proc: Path, setting: str, forbidding: str, remedy: str) -> None:
    file = proc / "sys/kernel" / setting
    file.write_text(f"{forbidding}\n")
    lines = missing_without(NO_UNSHARE, str(proc))
    assert f"sudo sysctl -w kernel.{setting}={remedy}" in only(lines, f"kernel.{setting} is {forbidding}")
    file.write_text(f"{remedy}\n")
    assert not [line for line in missing_without(NO_UNSHARE, str(proc)) if setting in line]


def test_an_apparmor_profile_is_named(proc: Path) -> None:
    (proc / "self/attr").mkdir(parents=True)
    (proc / "self/attr/current").write_text("docker-default (enforce)\n")
    line = only(missing_without(NO_UNSHARE, str(proc)), "docker-default")
    assert "--security-opt apparmor=unconfined" in line


def test_what_forbids_namespaces_unnamed_is_told_with_its_error(proc: Path) -> None:
    line = only(missing_without(NO_UNSHARE, str(proc)), "namespaces")
    assert "Operation not permitted" in line
    assert line.endswith("unshare --user --net --map-root-user")


def test_a_setting_that_forbids_nothing_is_not_mentioned(proc: Path) -> None:
    (proc / "sys/kernel/apparmor_restrict_unprivileged_userns").write_text("1\n")
    assert not [line for line in what_is_missing(proc) if "apparmor" in line]


def test_another_system_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    (line,) = what_is_missing()
    assert line.startswith("the sandbox needs Linux on amd64 or arm64, and this is Darwin")


def test_another_processor_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    (line,) = what_is_missing()
    assert line.startswith("the sandbox needs Linux on amd64 or arm64, and this is Linux on riscv64")


def test_an_old_kernel_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "release", lambda: "5.4.0-150-generic")
    assert "older than 5.12" in only(what_is_missing(), "5.4.0-150-generic")


@pytest.mark.usefixtures("nothing_built")
def test_a_missing_go_is_told_before_anything_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "https://go.dev/dl/" in only(what_is_missing(), "go is not on PATH")


def test_too_little_memory_is_told_with_both_amounts(proc: Path) -> None:
    (proc / "meminfo").write_text("MemTotal: 2097152 kB\nMemAvailable: 1048576 kB\n")
    line = only(what_is_missing(proc), "memory")
    assert line.startswith("1.0 GiB of memory are free, and ")
    assert "ps -eo rss,pid,args" in line


def test_a_full_disk_is_told_with_its_place(tmp_path: Path) -> None:
    lines = missing_without(
        f"ns.new_user_namespace(0, 0, ns.NEWNS); ns.mount('tmpfs', '{tmp_path}', 'tmpfs', options='size=1m')",
        XDG_CACHE_HOME=str(tmp_path),
    )
    line = only(lines, "disk")
    assert line.startswith(f"0.0 GiB of disk are free below {tmp_path}, and ")
    assert "XDG_CACHE_HOME" in line


def test_a_python_without_ensurepip_is_told() -> None:
    line = only(missing_without("sys.modules['ensurepip'] = None"), "ensurepip")
    assert "sudo apt-get install python3-venv" in line


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of the sandbox that somebody else has."""
    with socket.create_server((LAYOUT.address, 6443)):
        yield 6443


def test_free_addresses_are_fine() -> None:
    assert missing_addresses(LAYOUT) == []


def test_a_port_that_is_taken_is_told_with_who_wants_it(taken: int) -> None:
    (line,) = missing_addresses(LAYOUT)
    assert line.startswith(f"{LAYOUT.address}:{taken} ({PORTS[taken]}) is taken")
    assert f"ss -ltnp 'sport = :{taken}'" in line
    assert f"--network {LAYOUT.network + 1}" in line


def test_a_machine_without_its_loopback_network_is_told() -> None:
    lines = missing_without(
        "ns.new_user_namespace(0, 0, ns.NEWNET)\nfrom sandbox import layout, machine\n"
        "print(*machine.missing_addresses(layout.Layout()), sep='\\n')"
    )
    assert only(lines, "does not answer").endswith("sudo ip link set lo up")


def test_up_on_such_a_machine_says_all_of_it_and_starts_nothing(taken: int, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "sandbox", "--name", LAYOUT.name, "--network", str(LAYOUT.network), "up"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(tmp_path)}
    done = subprocess.run(
        argv, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 1
    assert "go is not on PATH" in done.stderr
    assert f":{taken} (kube-apiserver) is taken" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "cache").exists()


def test_it_looks_before_anything_is_installed() -> None:
    argv = [sys.executable, "-S", "-m", "sandbox.machine"]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.stderr == "" or done.stderr.startswith(f"error: {machine.INTRODUCTION}")
