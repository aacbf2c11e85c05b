"""`python -m sandbox.load_balancer_controller`: the controller of one sandbox, in a network namespace of its own.

Its webhooks listen on all addresses that there are. Here these are loopback ones, with relays from the sandbox's own
address to its webhooks and its health, and to the API server and the emulated AWS: it reaches nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from sandbox.layout import CLUSTER_NAME, REGION, Account, Layout
from sandbox.load_balancer_controller.files import (
    CERTIFICATES,
    HEALTH_PORT,
    KUBECONFIG,
    WEBHOOK_PORT,
    directory,
    write_files,
)
from sandbox.node.pod_network import PodNetwork, PodNetworkError
from sandbox.node.runtime import namespaces as ns

BINARY = "aws-load-balancer-controller"
API_SERVER_PORT, CLOUD_PORT = 6443, 4566
INSIDE = "127.0.0.1"


def flags(layout: Layout, account: Account) -> dict[str, str]:
    """Return what the controller is told: the cluster, its network, and moto in AWS's place."""
    files = directory(layout)
    services = ("ec2", "elasticloadbalancing", "acm", "sts", "tagging")
    return {
        "kubeconfig": str(files / KUBECONFIG),
        "cluster-name": CLUSTER_NAME,
        "aws-region": REGION,
        "aws-vpc-id": account.vpc_id,
        "aws-api-endpoints": ",".join(f"{service}={layout.cloud_url}" for service in services),
        # Services of AWS that the emulated one has not.
        "enable-shield": "false",
        "enable-waf": "false",
        "enable-wafv2": "false",
        "enable-leader-election": "false",
        "metrics-bind-addr": "0",
        "health-probe-bind-addr": f"{INSIDE}:{HEALTH_PORT}",
        "webhook-bind-port": str(WEBHOOK_PORT),
        "webhook-cert-dir": str(files / CERTIFICATES),
        "webhook-cert-file": "tls.crt",
        "webhook-key-file": "tls.key",
    }


def environment(account: Account) -> dict[str, str]:
    """Return the controller's environment: the account's administrator, and nothing of the user's."""
    return {
        "AWS_ACCESS_KEY_ID": account.access_key_id,
        "AWS_SECRET_ACCESS_KEY": account.secret_access_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


async def run(layout: Layout, tools: Path) -> int:
    """Run the controller of `tools` until SIGTERM or SIGINT, and return its exit code.

    Raises PodNetworkError, FileNotFoundError.
    """
    account = Account.load(layout.account_file)
    write_files(layout)
    outside = [(layout.address, port) for port in (API_SERVER_PORT, CLOUD_PORT)]
    network = await PodNetwork.open(
        hostname="load-balancer-controller",
        addresses=[],
        ports={(layout.address, port): (INSIDE, port) for port in (WEBHOOK_PORT, HEALTH_PORT)},
        egress={one: one for one in outside},
    )
    told = [f"--{flag}={value}" for flag, value in flags(layout, account).items()]
    process = await asyncio.create_subprocess_exec(
        str(tools / BINARY), *told, env=environment(account), preexec_fn=_entering(network)
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _terminate, process)
    try:
        return await process.wait()
    finally:
        await network.close()


def _entering(network: PodNetwork) -> Callable[[], None]:
    """Return what the controller's process does before it executes: enter the namespaces, and end with this one."""
    parent = os.getpid()

    def enter() -> None:
        for namespace in network.namespaces:
            ns.setns(namespace)
        ns.prctl(ns.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return enter


def _terminate(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()


def main() -> None:
    """Run the controller of the sandbox that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.load_balancer_controller", description=__doc__)
    parser.add_argument("--name", required=True, help="the sandbox's name")
    parser.add_argument("--network", required=True, type=int, help="the N of its addresses 127.N.0.0/16")
    parser.add_argument("--tools", required=True, type=Path, help="the directory of the built programs")
    arguments = parser.parse_args()
    try:
        sys.exit(asyncio.run(run(Layout(arguments.name, arguments.network), arguments.tools)))
    except (PodNetworkError, OSError) as error:
        sys.exit(f"the load balancer controller can't start: {error}")


if __name__ == "__main__":
    main()
