"""Fixtures that the tests of the sandbox share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox.authority import Authority
from sandbox.aws import server
from sandbox.aws.service_endpoints import server_context
from sandbox.layout import Layout
from sandbox.tools.build import Toolchain, toolchain
from tests import networks
from tests.sandbox.aws.emulated_aws import CloudProcess, EmulatedAws, Key, running_cloud
from tests.sandbox.edge.world import World, running_world


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What talks to the emulated AWS needs the sandbox, and is marked so here."""
    for item in items:
        if "aws" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.sandbox)


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A layout with directories of its own, for tests that start nothing of a sandbox, or a little of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Layout(name="test", network=9)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with running_world() as world:
        yield world


@pytest.fixture(scope="session")
def aws() -> Iterator[EmulatedAws]:
    layout = Layout(name="in-process", network=networks.CLOUD_IN_PROCESS)
    tls = server_context(Authority.open(layout), layout.address)
    url, tls_url = layout.cloud_url, layout.cloud_tls_url
    app = server.application(layout.target_health_file)
    with server.serving(app, url), server.serving(app, tls_url, tls):
        administrator = Key(server.ADMINISTRATOR, *server.make_administrator(url))
        yield EmulatedAws(url, tls_url, layout.authority_certificate, administrator)


@pytest.fixture(scope="session")
def tools() -> Toolchain:
    return toolchain()


@pytest.fixture(scope="session")
def cloud_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    """The emulated AWS as a process of its own."""
    layout = Layout(name="cloud", network=networks.CLOUD)
    with running_cloud(layout, tmp_path_factory.mktemp("logs") / "aws.log") as process:
        process.account()
        yield process


@pytest.fixture(scope="session")
def administrator(cloud_process: CloudProcess) -> Callable[[str], Any]:
    """boto3 clients of `cloud_process`, by service."""
    url, account = cloud_process.layout.cloud_url, cloud_process.account()
    return lambda service: server.client(service, url, account.access_key_id, account.secret_access_key)
