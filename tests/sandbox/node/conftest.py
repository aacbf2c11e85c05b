"""Fixtures of the node's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.layout import Layout
from sandbox.tools.build import Toolchain
from tests import networks
from tests.sandbox.node.node_sandbox import NodeSandbox, running_node


@pytest.fixture(scope="session")
def sandbox(tools: Toolchain) -> Iterator[NodeSandbox]:
    with running_node(Layout(name="node", network=networks.NODE), tools) as made:
        yield made
