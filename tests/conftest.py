"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import psutil
import pytest

from sandbox.layout import Account, Layout, cache_directory
from tests.mock_engine import PLAIN, Deploy, Deployed, run_program


@pytest.fixture(autouse=True, scope="session")
def _nothing_of_the_users_sandbox() -> Iterator[None]:
    """Tests run the same in a shell in which `make env` was evaluated."""
    account = Account(**dict.fromkeys((field.name for field in fields(Account)), ""))
    with pytest.MonkeyPatch.context() as patch:
        if "AWS_ENDPOINT_URL" in os.environ:
            for name in Layout().client_environment(account, Path()).keys() - {"PATH"}:
                patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sandboxes of the tests are apart from the user's, and from those of other workers; the tools are shared."""
    tools = cache_directory() / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        cache_directory().mkdir()
        (cache_directory() / "tools").symlink_to(tools)
        yield


LONGEST = (
    "test_changed_settings.py",
    "test_readme.py",
    "test_load_balancers.py",
    "test_post_registry.py",
    "test_secure_registry.py",
    "test_rights.py",
    "test_engine.py",
    "test_touched_by_hand.py",
    "test_other_cluster.py",
    "test_guarded_registry.py",
    "test_load_balancer_controller.py",
    "test_kubelet.py",
    "test_node.py",
    "test_mistakes.py",
    "test_sandbox_command.py",
    "test_template.py",
)
"""The files that take minutes: workers take a file at a time, these first, so that none is left alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the longest files first."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what an interrupted run leaves: pytest-xdist kills its workers before they end what they have started."""
    if config.getoption("numprocesses", None):  # not one of the workers
        begin = f"{config._tmp_path_factory.getbasetemp()}/popen-"  # pyright: ignore[reportAttributeAccessIssue]
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if any(begin in text for text in (*process.cmdline(), *process.environ().values())):
                    process.kill()


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Deploy:
    """Run the program with the given settings, added to the least that it needs, for an update or a preview."""

    def run(*, preview: bool = False, **settings: Any) -> Deployed:
        return run_program(monkeypatch, PLAIN | settings, preview=preview)

    return run
