"""`python -m sandbox.pod_identity_agent --name NAME --network N`: the agent of one sandbox, until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import sys

from aiohttp import web

from sandbox.layout import POD_IDENTITY_AGENT_PORT, Account, Layout
from sandbox.pod_identity_agent.agent import EksAuth, application


def main() -> None:
    """Run the agent of the sandbox that the arguments name; pods reach it at its link-local address."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.pod_identity_agent", description=__doc__)
    parser.add_argument("--name", required=True, help="the sandbox's name")
    parser.add_argument("--network", required=True, type=int, help="the N of its addresses 127.N.0.0/16")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s")
    layout = Layout(arguments.name, arguments.network)
    try:
        eks_auth = EksAuth(layout.cloud_tls_url, Account.load(layout.account_file), layout.authority_certificate)
        app = application(eks_auth)
        web.run_app(app, host=layout.address, port=POD_IDENTITY_AGENT_PORT, print=None, access_log=None)
    except OSError as error:
        sys.exit(f"the pod identity agent can't start: {error}")


if __name__ == "__main__":
    main()
