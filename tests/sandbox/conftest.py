"""Fixtures that the tests of the sandbox share."""

from __future__ import annotations

import functools
import json
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import pytest_asyncio
from botocore.config import Config
from edge_world import World, running_world

import sandbox
from sandbox import cloud
from sandbox.authority import Authority
from sandbox.layout import REGION, Account, Layout
from sandbox.toolchain import Toolchain, toolchain

NETWORK = 101
"""The loopback network of the tests' emulated AWS, 127.101.0.0/16."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What talks to the emulated AWS needs the sandbox, and is marked so here."""
    for item in items:
        if "aws" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.sandbox)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with running_world() as world:
        yield world


@dataclass(frozen=True)
class Key:
    """An IAM user's access key."""

    user: str
    id: str
    secret: str = field(repr=False)


@functools.cache
def _session() -> boto3.Session:
    """One for all clients: it keeps the services' models, which are slow to read."""
    return boto3.Session(region_name=REGION)


@functools.cache
def _client(service: str, key: Key, url: str, verify: str) -> Any:
    signature = {"signature_version": "s3v4"} if service == "s3" else {}
    return _session().client(
        service,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        endpoint_url=url,
        verify=verify,
        config=Config(proxies={}, retries={"total_max_attempts": 1}, **signature),
    )


@dataclass(frozen=True)
class EmulatedAws:
    """The emulated AWS, served by the tests' own process; tests share it, so they use names of their own."""

    url: str
    tls_url: str
    authority_certificate: Path
    administrator: Key

    def client(self, service: str, key: Key | None = None, *, tls: bool = False) -> Any:
        return _client(
            service, key or self.administrator, self.tls_url if tls else self.url, str(self.authority_certificate)
        )

    def new_user(self, *statements: dict[str, Any]) -> Key:
        """Make an IAM user that may do what `statements` say."""
        iam = self.client("iam")
        name = f"user-{uuid.uuid4().hex[:8]}"
        iam.create_user(UserName=name)
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Key(name, key["AccessKeyId"], key["SecretAccessKey"])

    def new_bucket(self) -> str:
        name = f"bucket-{uuid.uuid4().hex[:8]}"
        self.client("s3").create_bucket(Bucket=name)
        return name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedAws]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        layout = Layout(name="in-process")
        tls = Authority.open(layout).server_context("127.0.0.1")
        certificate = layout.authority_certificate
    url, tls_url = f"http://127.0.0.1:{free_port()}", f"https://127.0.0.1:{free_port()}"
    app = cloud.application()
    with cloud.serving(app, url), cloud.serving(app, tls_url, tls):
        administrator = Key(cloud.ADMINISTRATOR, *cloud.make_administrator(url))
        yield EmulatedAws(url, tls_url, certificate, administrator)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.05)
    return found


class CloudProcess:
    """The emulated AWS as the sandbox runs it, with its stderr in `log`."""

    def __init__(self, layout: Layout, log: Path) -> None:
        self.layout, self.log = layout, log
        command = [sys.executable, "-m", "sandbox.cloud", "--name", layout.name, "--network", str(layout.network)]
        checkout = Path(sandbox.__file__).parent.parent
        with log.open("ab") as stderr:
            self.popen = subprocess.Popen(command, cwd=checkout, stderr=stderr)

    def account(self) -> Account:
        def made() -> bool:
            assert self.popen.poll() is None, self.log.read_text()
            return self.layout.account_file.exists()

        wait_for(made, "account")
        return Account.load(self.layout.account_file)

    def end(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(timeout=5)


@contextmanager
def running_cloud(layout: Layout, log: Path) -> Iterator[CloudProcess]:
    process = CloudProcess(layout, log)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()


@pytest.fixture(scope="session")
def tools() -> Toolchain:
    return toolchain()


@pytest.fixture(scope="session")
def cloud_process(tools: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    """The emulated AWS as a process of its own; `tools` come first, from the user's cache directory."""
    layout = Layout(name="test-cloud", network=NETWORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with running_cloud(layout, tmp_path_factory.mktemp("logs") / "cloud.log") as process:
            process.account()
            yield process


@pytest.fixture(scope="session")
def administrator(cloud_process: CloudProcess) -> Callable[[str], Any]:
    """boto3 clients of `cloud_process`, by service."""
    url, account = cloud_process.layout.cloud_url, cloud_process.account()
    return lambda service: cloud.client(service, url, account.access_key_id, account.secret_access_key)
