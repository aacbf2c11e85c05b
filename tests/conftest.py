"""Fixtures of the product's tests."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mock_engine import PLAIN, Deploy, Deployed, run_program


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Deploy:
    """Run the program with the given settings, added to the least that it needs."""

    def run(**settings: Any) -> Deployed:
        return run_program(monkeypatch, PLAIN | settings)

    return run
