"""What becomes a container's process: `python -m sandbox.node.runtime.container_init`, started by `container.py`.

Reads a JSON object from standard input (`container.Launch`, so that no secret is among the arguments), enters the pod's
namespaces, makes the container's own, mounts its files and executes its command as its first process. It writes JSON
lines to the status pipe: `{"pid": n}`, and `{"error": text}` if the command could not be started; the pipe is closed
when the command runs. The parent process stays to pass on SIGTERM and the exit code (128 + n after signal n), and
takes the container with it when it dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from sandbox.node.runtime import namespaces as ns

OLD_ROOT = f"/.{os.urandom(8).hex()}"
"""Unknown to the image, whose links would lead out of the container while it is there."""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
CANNOT_EXECUTE = 126


def main() -> NoReturn:
    """Start the container's process and pass on its end; see the module's docstring."""
    launch: dict[str, Any] = json.load(sys.stdin)
    status = int(sys.argv[1])
    os.set_inheritable(status, False)
    ns.prctl(ns.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1 and launch["parent"] != 1:
        sys.exit("the node has ended")
    joined = [os.open(path, os.O_WRONLY) for path in launch["cgroup_processes"]]
    enter = [os.open(path, os.O_RDONLY) for path in launch["enter"]] if "enter" in launch else []
    for fd in launch["namespaces"]:
        ns.setns(fd)
    if enter:
        mount_namespace, pid_namespace, user_namespace = enter
        ns.setns(pid_namespace)
        ns.setns(mount_namespace)
    else:
        user_namespace = None
        ns.unshare(ns.NEWNS | ns.NEWPID)
    alive, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        try:
            for fd in joined:
                os.write(fd, b"0")  # this process
                os.close(fd)
            _start(launch, user_namespace, alive)
        except BaseException as error:
            text = str(error) if isinstance(error, OSError) else repr(error)
            os.write(status, json.dumps({"error": text}).encode() + b"\n")
            os._exit(CANNOT_EXECUTE)
    os.write(status, json.dumps({"pid": child}).encode() + b"\n")
    os.close(status)
    os.close(alive)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(child, number))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


def _start(launch: dict[str, Any], user_namespace: int | None, alive: int) -> NoReturn:
    """In the child: become the container's process."""
    if user_namespace is None:
        _make_root(launch)
        ns.new_user_namespace(launch["uid"], launch["gid"])
    else:
        ns.setns(user_namespace)
    for capability in launch["drop_capabilities"]:
        ns.prctl(ns.PR_CAPBSET_DROP, capability)
    if launch["no_new_privileges"]:
        ns.prctl(ns.PR_SET_NO_NEW_PRIVS, 1)
    ns.prctl(ns.PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of credentials, which clears it
    if select.select([alive], [], [], 0)[0]:
        os._exit(CANNOT_EXECUTE)  # the parent died before its death could be noticed
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # Python's own settings would be inherited
    os.chdir(launch["directory"])
    argv, environment = launch["argv"], launch["environment"]
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606
    except FileNotFoundError:
        where = "no such file or directory" if "/" in argv[0] else "executable file not found in $PATH"
        raise FileNotFoundError(f'exec: "{argv[0]}": {where}') from None


def _make_root(launch: dict[str, Any]) -> None:
    """Mount the container's root filesystem, with a layer of its own over the image's, and all that belongs in it."""
    stage = Path(launch["stage"])
    ns.mount(None, "/", flags=ns.MS_REC | ns.MS_PRIVATE)
    ns.mount("tmpfs", str(stage), "tmpfs", options="mode=0755")
    root = stage / "root"
    for path in (root, stage / "upper", stage / "work"):
        path.mkdir()
    layers = f"lowerdir={launch['image']},upperdir={stage}/upper,workdir={stage}/work,userxattr"
    ns.mount("overlay", str(root), "overlay", options=layers)
    (root / OLD_ROOT[1:]).mkdir()
    ns.change_root(str(root), str(root / OLD_ROOT[1:]))
    _make_system_files(launch)
    for one in launch["mounts"]:
        source, target = Path(OLD_ROOT + one["source"]), Path(one["target"])
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        ns.bind(str(source), str(target), read_only=one["read_only"])
    Path(launch["directory"]).mkdir(parents=True, exist_ok=True)
    ns.detach(OLD_ROOT)
    Path(OLD_ROOT).rmdir()
    if launch["read_only"]:
        ns.make_read_only("/", recursive=False)


def _make_system_files(launch: dict[str, Any]) -> None:
    """/proc, /dev, /tmp and the files in /etc that a container runtime makes."""
    for path in ("/proc", "/dev", "/etc", "/tmp"):  # noqa: S108 (the container's own)
        Path(path).mkdir(exist_ok=True)
    try:
        ns.mount("proc", "/proc", "proc", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
    except PermissionError:  # in a container whose own /proc is partly hidden
        ns.bind(f"{OLD_ROOT}/proc", "/proc", read_only=False)
    ns.mount("tmpfs", "/dev", "tmpfs", ns.MS_NOSUID, "mode=0755,size=65536k")
    for name in DEVICES:
        Path("/dev", name).touch()
        ns.bind(f"{OLD_ROOT}/dev/{name}", f"/dev/{name}", read_only=False)
    for name, destination in DEVICE_LINKS.items():
        Path("/dev", name).symlink_to(destination)
    Path("/dev/shm").mkdir()  # noqa: S108
    ns.mount("tmpfs", "/dev/shm", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=1777,size=65536k")  # noqa: S108
    if launch["writable_tmp"]:
        ns.mount("tmpfs", "/tmp", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=1777")  # noqa: S108
    hostname, pod_ip = launch["hostname"], launch["pod_ip"]
    for name, text in {
        "hostname": f"{hostname}\n",
        "hosts": f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n{pod_ip}\t{hostname}\n",
        "resolv.conf": launch["name_resolution"],
    }.items():
        Path("/etc", name).unlink(missing_ok=True)  # it may be a link
        Path("/etc", name).write_text(text)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
