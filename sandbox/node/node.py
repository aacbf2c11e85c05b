"""The node: the real kubelet, over a container runtime that isolates processes on this machine.

`python -m sandbox.node.node` is executed by `__main__` in a user and mount namespace of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import grpc.aio

from sandbox.layout import NODE_TUNNEL, Account, Layout
from sandbox.node import kubelet, node_tunnel
from sandbox.node.arguments import parse_arguments
from sandbox.node.cri.image_service import ImageService
from sandbox.node.cri.runtime_service import Node, RuntimeService
from sandbox.node.cri.stubs import api_pb2_grpc
from sandbox.node.directories import NodeDirectories
from sandbox.node.images import Images
from sandbox.node.network_policy.enforcement import Enforcement
from sandbox.node.node_network import NodeNetwork
from sandbox.node.pulled_images import PulledImages

API_SERVER_PORT = 6443
WAITING_THREADS = 128
"""More than a node of 110 pods has pulls and commands under way: these wait, and pods are not to wait for them."""

log = logging.getLogger(__name__)


class KubeletEndedError(Exception):
    """The kubelet has ended by itself."""


async def serve(layout: Layout, images: Images, tools: Path) -> None:
    """Be the node of `layout` until cancelled; then its containers are ended and their pods' objects stay as they are.

    Raises KubeletEndedError.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(WAITING_THREADS))
    account, directories = Account.load(layout.account_file), NodeDirectories(layout)
    kubelet.write_files(layout, account, directories.kubelet)
    network = await NodeNetwork.open(
        hostname=account.private_dns_name,
        address=account.private_ip,
        api_server=(layout.address, API_SERVER_PORT),
        pod_network=layout.pod_network,
    )
    crane, environment = tools / "crane", pulling_environment(layout, account, tools)
    pulled = PulledImages(directories.pulled_images, crane, environment, layout.registry_hosts)
    image_service = ImageService(images, pulled, directories.pulled_images)
    enforcement = Enforcement(layout)
    runtime = RuntimeService(Node(layout, directories, network, image_service.find, enforcement))
    # Its path is relative to the sandbox's directory, in which the node runs: it may be no longer than 107 bytes.
    socket = (directories.kubelet / kubelet.RUNTIME_SOCKET).relative_to(layout.directory)
    server = await _serve_runtime(runtime, image_service, socket)
    tunnel = asyncio.create_task(node_tunnel.serve(Path(NODE_TUNNEL), network))
    enforcing = asyncio.create_task(enforcement.run())
    process = await kubelet.start(
        tools / "kubelet", account, directories=directories, network=network.namespace, log=layout.logs / "kubelet.log"
    )
    try:
        code = await process.wait()
        raise KubeletEndedError(f"the kubelet has ended with {code}, see {layout.logs / 'kubelet.log'}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        tunnel.cancel()
        enforcing.cancel()
        await runtime.shut_down()
        await server.stop(None)
        await network.close()


def pulling_environment(layout: Layout, account: Account, tools: Path) -> dict[str, str]:
    """Return the environment of the node's pulls: that of clients, but load balancers see the node's address."""
    environment = layout.client_environment(account, tools)
    return {name: layout.node_edge_url if value == layout.edge_url else value for name, value in environment.items()}


async def _serve_runtime(runtime: RuntimeService, images: ImageService, socket: Path) -> grpc.aio.Server:
    server = grpc.aio.server()
    api_pb2_grpc.add_RuntimeServiceServicer_to_server(runtime, server)
    api_pb2_grpc.add_ImageServiceServicer_to_server(images, server)
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    return server


async def serve_until_signalled(layout: Layout, images: Images, tools: Path) -> NoReturn:
    """Be the node until SIGTERM or SIGINT, and exit; with 1 if the kubelet ends before."""
    running = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        if running:
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    code = 0
    try:
        await serve(layout, images, tools)
    except asyncio.CancelledError:
        pass
    except KubeletEndedError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = 1
    os._exit(code)  # threads may wait for what comes no more


def main() -> None:
    """Run the node; see the module's docstring."""
    arguments = parse_arguments()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    layout = Layout(arguments.name, arguments.network)
    asyncio.run(serve_until_signalled(layout, Images(arguments.images), arguments.tools))


if __name__ == "__main__":
    main()
