"""The generated secrets."""

from __future__ import annotations

from tests.mock_engine import Deploy


def test_the_http_secret_is_long_and_has_no_character_that_means_something_in_yaml(deploy: Deploy) -> None:
    assert deploy().one("RandomPassword") == {"length": 64, "special": False}
