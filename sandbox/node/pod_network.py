"""A pod's network: a network namespace of its own, and the relays that are its only ways in and out.

`PodNetwork` is used by the node; `python -m sandbox.node.pod_network` is its process, one per pod (what the pause
container and the CNI plugin are elsewhere). A socket stays in the namespace in which it was made: the process's main
thread stays in the host's, a second thread enters the pod's and makes sockets there. So one process relays both ways,
and hands the node sockets that live in the pod (for probes).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from sandbox.node import rtnetlink
from sandbox.node.cluster_dns import NameServer, NameService
from sandbox.node.network_policy.gates import Gates
from sandbox.node.network_policy.rules import Rules
from sandbox.node.relays import Address, accept, listen
from sandbox.node.runtime import namespaces as ns

DRAIN_SECONDS = 0.5
"""How long connections may still finish after the pod's containers have ended."""
NAMESPACE_FILES = ("user", "ipc", "uts", "net")
SOCKET_REQUEST = b"socket"
LONGEST_MESSAGE = 128 * 1024
"""What a Linux socket takes at once by default is more (net.core.wmem_default)."""


class PodNetworkError(Exception):
    """A pod's network could not be made, or is gone."""


class PodNetwork:
    """The network of one pod, until `close`."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket, namespaces: list[int]) -> None:
        """Use `open`."""
        self.process = process
        self.namespaces = namespaces
        """File descriptors of the pod's user, IPC, UTS and network namespaces, in the order to enter them."""
        self._control = control
        self._lock = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        *,
        hostname: str,
        addresses: list[str],
        ports: dict[Address, Address],
        egress: dict[Address, Address],
        name_service: NameService | None = None,
    ) -> PodNetwork:
        """Make a pod's namespaces.

        `addresses` are the pod's inside, beside 127.0.0.0/8. `ports` maps a listener on the host to the address
        inside to which its connections go; `egress` maps a listener inside to an address on the host. `name_service`
        answers inside, at one of `addresses`. Raises PodNetworkError if an address can't be had.
        """
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        settings = {
            "hostname": hostname,
            "addresses": addresses,
            "ports": list(ports.items()),
            "egress": list(egress.items()),
            "name_service": asdict(name_service) if name_service else None,
        }
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", __name__, str(theirs.fileno()), json.dumps(settings),
                pass_fds=[theirs.fileno()], start_new_session=True, cwd=Path(__file__).parents[2],
                stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        _, namespaces, _, _ = await asyncio.to_thread(socket.recv_fds, control, 16, len(NAMESPACE_FILES))
        if not namespaces:
            control.close()
            _, error = await process.communicate()
            last = error.decode(errors="replace").strip().rpartition("\n")[2]
            raise PodNetworkError(f"pod sandbox: {last or f'exit code {process.returncode}'}")
        return cls(process, control, namespaces)

    async def socket(self) -> socket.socket:
        """Return a TCP socket, not yet connected, inside the pod. Raises PodNetworkError if the pod is gone."""
        async with self._lock:
            try:
                self._control.send(SOCKET_REQUEST)
                _, fds, _, _ = await asyncio.to_thread(socket.recv_fds, self._control, 16, 1)
            except OSError as error:
                raise PodNetworkError(f"pod sandbox: {error}") from error
        if not fds:
            raise PodNetworkError("pod sandbox: its process has ended")
        inside = socket.socket(fileno=fds[0])
        inside.setblocking(False)
        return inside

    async def enforce(self, rules: Rules) -> None:
        """Have new connections keep to `rules`; what goes through sockets of `socket` is not looked at.

        Whoever comes in is told by the source address that the host sees. Raises PodNetworkError if the pod is gone.
        """
        async with self._lock:
            try:
                await asyncio.to_thread(self._control.send, rules.to_json().encode())
            except OSError as error:
                raise PodNetworkError(f"pod sandbox: {error}") from error

    async def close(self) -> None:
        """End the relays, after what is under way has had a moment to finish."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            await asyncio.wait_for(self.process.wait(), DRAIN_SECONDS + 1)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        self._control.close()
        for fd in self.namespaces:
            os.close(fd)


def main() -> None:
    """The pod's process: relay until the node closes its end of the control socket."""
    ns.prctl(ns.PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(sys.argv[2])
    try:
        ports = [(listen(tuple(outer)), tuple(inner)) for outer, inner in settings["ports"]]
        ns.new_user_namespace(0, 0, ns.NEWIPC | ns.NEWUTS)
        ns.prctl(ns.PR_SET_PDEATHSIG, signal.SIGKILL)
        socket.sethostname(settings["hostname"])
        inside = ThreadPoolExecutor(1)
        inside.submit(_make_network, settings["addresses"]).result()
        egress = [(inside.submit(listen, tuple(inner)).result(), tuple(outer)) for inner, outer in settings["egress"]]
        asked = settings["name_service"]
        name_server = inside.submit(NameServer, NameService(**asked)).result() if asked else None
    except OSError as error:
        sys.exit(str(error))
    thread = inside.submit(lambda: os.open("/proc/thread-self/ns/net", os.O_RDONLY)).result()
    fds = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in NAMESPACE_FILES[:-1]]
    socket.send_fds(control, [b"ready"], [*fds, thread])
    asyncio.run(_serve(control, inside, ports, egress, name_server))
    os._exit(0)


def _make_network(addresses: list[str]) -> None:
    """Enter a new network namespace with a loopback device that is up and has `addresses`."""
    ns.unshare(ns.NEWNET)
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")  # as containerd and Docker do
    rtnetlink.set_up("lo")
    for number, address in enumerate(addresses, 1):
        rtnetlink.add_address(address, f"lo:{number}")


async def _serve(
    control: socket.socket,
    inside: ThreadPoolExecutor,
    ports: list[tuple[socket.socket, Address]],
    egress: list[tuple[socket.socket, Address]],
    name_server: NameServer | None,
) -> None:
    loop = asyncio.get_running_loop()

    async def inner_socket() -> socket.socket:
        return await loop.run_in_executor(inside, socket.socket)

    async def outer_socket() -> socket.socket:
        return socket.socket()

    gates = Gates()
    for listener, (_, port) in ports:
        gates.guard_ingress(listener, port)
    for listener, _ in egress:
        gates.guard_egress(listener, *listener.getsockname())
    if name_server:
        at = name_server.address
        gates.guard_egress(name_server.listener, *at)
        await name_server.serve(lambda: gates.lets_out("UDP", *at))
    connections: set[asyncio.Task[None]] = set()
    acceptors = [
        *(asyncio.create_task(accept(one, target, inner_socket, connections, gates.admits)) for one, target in ports),
        *(asyncio.create_task(accept(one, target, outer_socket, connections, gates.admits)) for one, target in egress),
    ]
    control.setblocking(False)
    while message := await loop.sock_recv(control, LONGEST_MESSAGE):
        if message != SOCKET_REQUEST:
            gates.keep_to(Rules.from_json(message))
            continue
        with await inner_socket() as made:
            socket.send_fds(control, [b"socket"], [made.fileno()])
    for acceptor in acceptors:
        acceptor.cancel()
    for listener, _ in ports:
        listener.close()
    if connections:
        await asyncio.wait(connections, timeout=DRAIN_SECONDS)


if __name__ == "__main__":
    main()
