"""The real registry with users, over TLS: a process beside the sandbox."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

import bcrypt

from sandbox import authority
from sandbox.authority import Authority
from sandbox.demonstration import Crane
from sandbox.layout import Account, Layout
from sandbox.node.pulled_images import Credentials
from sandbox.tools.build import Toolchain
from tests.waiting import PATIENCE_SECONDS, wait_for

PORT = 5000
ALICE = Credentials(username="alice", password="correct-horse")
EVE = Credentials(username="alice", password="wrong-horse")
NO_ACCOUNT = Account(**dict.fromkeys((field.name for field in fields(Account)), ""))


@dataclass
class Registry:
    """The registry, its files in `directory`."""

    layout: Layout
    tools: Toolchain
    directory: Path

    def __post_init__(self) -> None:
        self.host = f"{self.layout.address}:{PORT}"
        self.environment = self.layout.client_environment(NO_ACCOUNT, self.tools.binaries)
        self.crane = Crane(self.layout, NO_ACCOUNT, self.tools.binaries)
        self.log = self.directory / "registry.log"
        authority.write(Authority.open(self.layout).issue(self.layout.address), self.pem, self.key)
        hashed = bcrypt.hashpw(ALICE.password.encode(), bcrypt.gensalt(4)).decode()
        (self.directory / "users").write_text(f"{ALICE.username}:{hashed}\n")
        self.start()

    @property
    def pem(self) -> Path:
        return self.directory / "registry.pem"

    @property
    def key(self) -> Path:
        return self.directory / "registry.key"

    def start(self) -> None:
        config = self.directory / "config.yml"
        config.write_text(
            f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {self.directory}/storage}}}}\n"
            f"http: {{addr: '{self.host}', tls: {{certificate: {self.pem}, key: {self.key}}}}}\n"
            f"auth: {{htpasswd: {{realm: registry, path: {self.directory}/users}}}}\n"
        )
        binary = self.tools.images / "registry-3.1.2/rootfs/bin/registry"
        with self.log.open("ab") as log:
            environment = {"OTEL_TRACES_EXPORTER": "none"}
            self.process = subprocess.Popen([binary, "serve", config], env=environment, stdout=log, stderr=log)

        def answers() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            with socket.socket() as probe:
                return probe.connect_ex((self.layout.address, PORT)) == 0

        wait_for(answers, "registry")
        self.crane.log_in(self.host, ALICE.username, ALICE.password)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def blob(self, digest: str) -> Path:
        hexadecimal = digest.partition(":")[2]
        return self.directory / "storage/docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"
