"""Fixtures of the product's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from sandbox.layout import Account, Layout
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


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Deploy:
    """Run the program with the given settings, added to the least that it needs."""

    def run(**settings: Any) -> Deployed:
        return run_program(monkeypatch, PLAIN | settings)

    return run
