"""By which way the node pulls."""

from __future__ import annotations

from pathlib import Path

from sandbox.layout import Account, Layout
from sandbox.node.node import pulling_environment

ACCOUNT = Account("key", "secret", "", "", "", "", "172.31.0.10", "")


def test_the_node_pulls_as_every_client_but_by_the_edges_address_for_the_node() -> None:
    layout = Layout("pulling", 9)
    clients = layout.client_environment(ACCOUNT, Path("/tools"))
    node = pulling_environment(layout, ACCOUNT, Path("/tools"))
    changed = {name: value for name, value in node.items() if value != clients[name]}
    assert changed == dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.9.0.2:3128")
    assert node.keys() == clients.keys()
