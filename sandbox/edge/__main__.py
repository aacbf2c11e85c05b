"""`python -m sandbox.edge --name NAME --network N`: the edge of one sandbox, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from urllib.parse import urlsplit

from sandbox.authority import Authority
from sandbox.edge.endpoints import ServiceTable, follow
from sandbox.edge.health_checks import Monitor
from sandbox.edge.network_load_balancers import TargetGroups
from sandbox.edge.proxy import Edge
from sandbox.edge.resolution import Resolver
from sandbox.edge.streaming import CHUNK
from sandbox.edge.target_health import DEREGISTRATION_LAG_SECONDS, REGISTRATION_DELAY_SECONDS, Targets
from sandbox.edge.upstreams import Upstreams
from sandbox.layout import Account, Layout

log = logging.getLogger("sandbox.edge")


async def run(layout: Layout, targets: Targets) -> None:
    """Serve on `layout.edge_url`, the node on `layout.node_edge_url`, until SIGTERM or SIGINT."""
    account = Account.load(layout.account_file)
    table = ServiceTable()
    groups = await asyncio.to_thread(TargetGroups, layout.cloud_url, account)
    monitor = Monitor(layout, targets, groups.read, table)
    watching = [asyncio.create_task(follow(table, layout.kubeconfig)), asyncio.create_task(monitor.run())]
    resolver = await asyncio.to_thread(Resolver, layout.cloud_url, account)
    context = Authority.open(layout).server_context
    edge = Edge(layout, resolver.resolve, Upstreams(layout, table, targets), context, account.private_ip)
    servers = []
    # The node's first: who waits for the edge looks at the other.
    for serve, address in ((edge.serve_node, layout.node_edge_url), (edge.serve, layout.edge_url)):
        url = urlsplit(address)
        servers.append(await asyncio.start_server(serve, url.hostname, url.port, limit=CHUNK, backlog=512))
        log.info("serving on %s", address)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    for task in watching:
        task.cancel()
    for server in servers:
        server.close()
    logging.shutdown()
    os._exit(0)  # not to wait for threads that wait for AWS


def main() -> None:
    """Run the edge of the sandbox that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.edge", description=__doc__)
    parser.add_argument("--name", required=True, help="the sandbox's name")
    parser.add_argument("--network", required=True, type=int, help="the N of its addresses 127.N.0.0/16")
    parser.add_argument(
        "--registration-delay",
        type=float,
        default=REGISTRATION_DELAY_SECONDS,
        help="seconds from a target's registration to its first health check (default: %(default)s)",
    )
    parser.add_argument(
        "--deregistration-lag",
        type=float,
        default=DEREGISTRATION_LAG_SECONDS,
        help="seconds for which a deregistered target gets new connections (default: %(default)s)",
    )
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        targets = Targets(arguments.registration_delay, arguments.deregistration_lag)
        asyncio.run(run(Layout(arguments.name, arguments.network), targets))
    except (FileNotFoundError, OSError) as error:
        sys.exit(f"the edge can't start: {error}")


main()
