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
from sandbox.edge.proxy import Edge
from sandbox.edge.resolution import Resolver
from sandbox.edge.streaming import CHUNK
from sandbox.layout import Account, Layout

log = logging.getLogger("sandbox.edge")


async def run(layout: Layout) -> None:
    """Serve on `layout.edge_url` until SIGTERM or SIGINT."""
    account = Account.load(layout.account_file)
    table = ServiceTable()
    watching = asyncio.create_task(follow(table, layout.kubeconfig))
    resolver = await asyncio.to_thread(Resolver, layout.cloud_url, account)
    edge = Edge(layout, resolver.resolve, table, Authority.open(layout).server_context)
    url = urlsplit(layout.edge_url)
    server = await asyncio.start_server(edge.serve, url.hostname, url.port, limit=CHUNK, backlog=512)
    log.info("serving on %s", layout.edge_url)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    watching.cancel()
    server.close()
    logging.shutdown()
    os._exit(0)  # not to wait for threads that wait for AWS


def main() -> None:
    """Run the edge of the sandbox that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.edge", description=__doc__)
    parser.add_argument("--name", required=True, help="the sandbox's name")
    parser.add_argument("--network", required=True, type=int, help="the N of its addresses 127.N.0.0/16")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        asyncio.run(run(Layout(arguments.name, arguments.network)))
    except (FileNotFoundError, OSError) as error:
        sys.exit(f"the edge can't start: {error}")


main()
