"""`python -m sandbox.node`: the node of one sandbox, in namespaces of its own.

`--name NAME --network N --images DIRECTORY --tools DIRECTORY`. It is the EC2 instance of the emulated account.
"""

from __future__ import annotations

import os
import sys

from sandbox.layout import Layout
from sandbox.node.arguments import parse_arguments
from sandbox.node.directories import NodeDirectories
from sandbox.node.runtime import namespaces as ns


def main() -> None:
    """Enter a user namespace, so that nothing needs privileges, and become the node there."""
    arguments = parse_arguments()
    try:
        ns.require_user_namespaces()
    except ns.NamespacesForbiddenError as error:
        sys.exit(f"error: {error}")
    layout = Layout(arguments.name, arguments.network)
    directories = NodeDirectories(layout)
    directories.make()
    ns.new_user_namespace(0, 0, ns.NEWNS)
    directories.share()
    os.chdir(layout.directory)
    # What is executed inside of the namespace may be looked at by whom it belongs to.
    os.execv(sys.executable, [sys.executable, "-m", "sandbox.node.node", *sys.argv[1:]])  # noqa: S606


main()
