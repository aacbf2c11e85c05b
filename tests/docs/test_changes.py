"""docs/changes.md has a row for each setting, and says of those who notice what the suite of changes counts."""

from __future__ import annotations

import re

import pytest

from docs.settings_reference import CHECKOUT, leaves
from tests.end_to_end.setting_changes import CHANGES, CLASS_CHANGES, Change

TABLE = (CHECKOUT / "docs/changes.md").read_text()


def rows() -> dict[str, str]:
    """Who notices a change, by each setting of the table."""
    found: dict[str, str] = {}
    for line in re.findall(r"^\| `.*\|$", TABLE, re.MULTILINE):
        settings, _, notices = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
        for setting in re.findall(r"`([^`]*)`", settings):
            assert setting not in found
            found[setting] = notices
    return found


def test_each_setting_has_a_row() -> None:
    assert sorted(rows()) == sorted(leaf.path for leaf in leaves())


TESTS_OF_THEIR_OWN = {"hostname", "zone", "zoneId", "privateZone", "tls", "bucket.name"}
"""What tests/end_to_end/test_changed_settings.py changes beside the cases."""
ALL = [*CHANGES, *CLASS_CHANGES]


def test_the_suite_changes_each_setting() -> None:
    changed = {setting for change in ALL for setting in change.settings}
    assert sorted(changed | TESTS_OF_THEIR_OWN) == sorted(rows())


@pytest.mark.parametrize("change", ALL, ids=[" ".join(change.settings) for change in ALL])
def test_nobody_notices_where_the_suite_lets_no_request_fail(change: Change) -> None:
    assert [rows()[setting].startswith("nobody") for setting in change.settings] == [not change.outage] * len(
        change.settings
    )
