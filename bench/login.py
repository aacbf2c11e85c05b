"""`python -m bench.login`: what a login costs, as the ratio of two medians: HEAD of a manifest with users and without.

Two stacks on a sandbox of its own, alike but for the users, are asked in turns, each by one connection that stays.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

from sandbox.layout import Layout
from sandbox.tools.build import toolchain
from tests.end_to_end.images import push
from tests.end_to_end.registry_client import MANIFEST, OCI_MANIFEST, RegistryClient
from tests.end_to_end.registry_stack import RegistryStack, Sandbox, running_sandbox
from tests.forms import POST

LAYOUT = Layout("bench", 93)
FORMS: dict[str, dict[str, Any]] = {"with-login": POST | {"users": ["registry"]}, "without-users": POST}
REQUESTS = 50
WARM_UP = 5


def main() -> None:
    """Measure, and print a line for each stack, and the ratio."""
    with running_sandbox(LAYOUT, toolchain()) as sandbox, tempfile.TemporaryDirectory() as directory:
        sessions = {name: opened(sandbox, name, Path(directory) / name) for name in FORMS}
        seconds: dict[str, list[float]] = {name: [] for name in FORMS}
        for _ in range(WARM_UP + REQUESTS):
            for name, (session, url) in sessions.items():
                started = time.perf_counter()
                assert session.head(url, timeout=60).status_code == requests.codes.ok  # noqa: S101
                seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(times[WARM_UP:]) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"HEAD of a manifest, {name:<14} median of {REQUESTS}: {median * 1000:6.1f} ms")
    print(f"ratio: {medians['with-login'] / medians['without-users']:.2f}")


def opened(sandbox: Sandbox, name: str, directory: Path) -> tuple[requests.Session, str]:
    """Deploy the stack with one pod, push an image; return a session that may pull it, and the manifest's URL."""
    stack = RegistryStack(sandbox, name, directory)
    stack.up(**FORMS[name], replicas=1)
    push(stack.crane(), f"{stack.hostname}/app:1", directory)
    client = RegistryClient(stack, stack.outputs.get("username"), stack.outputs.get("password"))
    session = client.session()
    session.headers["Accept"] = f"{MANIFEST}, {OCI_MANIFEST}"
    return session, f"{client.url}/v2/app/manifests/1"


if __name__ == "__main__":
    main()
