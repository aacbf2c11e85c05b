"""The post's registry while its settings change, one after the other, under a client that pulls all the time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.images import pull, push
from tests.end_to_end.registry_client import PULL_SECONDS, RegistryClient, Repeatedly
from tests.end_to_end.registry_stack import POST, RegistryStack

Updates = list[tuple[dict[str, Any], dict[str, str]]]
"""Changes one after the other, and what each changes."""

TO_REPLICATION_CONTROLLER = (
    {"controller": "ReplicationController"},
    {
        "registry-deployment": "delete",
        "registry-first-template": "create",
        "registry-replication-controller": "create",
    },
)
TO_DEPLOYMENT = (
    {"controller": "Deployment"},
    {
        "registry-deployment": "create",
        "registry-first-template": "delete",
        "registry-replication-controller": "delete",
    },
)
CONTROLLERS: Updates = [TO_REPLICATION_CONTROLLER, TO_DEPLOYMENT]
ALL: Updates = [
    ({"replicas": 3}, {"registry-deployment": "update"}),
    ({"chunkSize": 5242880}, {"registry-deployment": "update"}),
    ({"image": "registry:2.8.3"}, {"registry-deployment": "update"}),
    TO_REPLICATION_CONTROLLER,
    ({"image": "registry:3.1.1"}, {"registry-replication-controller": "replace"}),
    TO_DEPLOYMENT,
]


@pytest.mark.parametrize("updates", [CONTROLLERS, pytest.param(ALL, marks=pytest.mark.changes)], ids=["some", "all"])
def test_each_change_is_what_the_preview_says_and_no_pull_fails_meanwhile(
    stack: RegistryStack, tmp_path: Path, updates: Updates
) -> None:
    stack.up(**POST)
    crane, settings = stack.crane(), dict(POST)
    digest = push(crane, f"{stack.hostname}/steady:1", tmp_path)
    client = RegistryClient(stack)
    for change, expected in updates:
        settings |= change
        assert stack.preview(**settings) == expected, change
        with Repeatedly(lambda: client.pull("steady", "1"), PULL_SECONDS) as pulls:
            stack.up(**settings)
        assert pulls.failures == [], change
        assert pulls.count > 10
        assert client.pull("steady", "1") == digest
        image = f"{stack.hostname}/after:1"
        assert push(crane, image, tmp_path) == pull(crane, image, tmp_path), change
    assert stack.preview(**settings) == {}
