"""Fixtures of the end-to-end tests: one sandbox for all of them, and a stack for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.layout import Layout
from sandbox.tools.build import toolchain
from tests import networks
from tests.end_to_end.registry_stack import RegistryStack, Sandbox, running_sandbox


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this needs the sandbox."""
    for item in items:
        if "end_to_end" in item.path.parts:
            item.add_marker(pytest.mark.sandbox)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(Layout("end-to-end", networks.END_TO_END), toolchain()) as running:
        yield running


@pytest.fixture(scope="module")
def stack(
    sandbox: Sandbox, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RegistryStack]:
    name = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    made = RegistryStack(sandbox, name, tmp_path_factory.mktemp("project"))
    yield made
    made.remove()
