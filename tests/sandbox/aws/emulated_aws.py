"""The emulated AWS for tests: served by their own process, or as a process of its own."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

import sandbox
from sandbox.layout import REGION, Account, Layout
from tests.waiting import PATIENCE_SECONDS, wait_for


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


class CloudProcess:
    """The emulated AWS as the sandbox runs it, with its stderr in `log`."""

    def __init__(self, layout: Layout, log: Path) -> None:
        self.layout, self.log = layout, log
        command = [sys.executable, "-m", "sandbox.aws", "--name", layout.name, "--network", str(layout.network)]
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
        return self.popen.wait(PATIENCE_SECONDS)


@contextmanager
def running_cloud(layout: Layout, log: Path) -> Iterator[CloudProcess]:
    process = CloudProcess(layout, log)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()
