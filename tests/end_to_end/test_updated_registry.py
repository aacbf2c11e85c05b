"""The post's registry while its settings change, one after the other, under a client that pulls all the time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.images import pull, push
from tests.end_to_end.registry_client import RegistryClient, Repeatedly
from tests.end_to_end.registry_stack import POST, RegistryStack

UPDATES = [
    ({"replicas": 3}, {"registry-deployment": "update"}),
    ({"chunkSize": 5242880}, {"registry-deployment": "update"}),
    ({"image": "registry:2.8.3"}, {"registry-deployment": "update"}),
    (
        {"controller": "ReplicationController"},
        {
            "registry-deployment": "delete",
            "registry-first-template": "create",
            "registry-replication-controller": "create",
        },
    ),
    ({"image": "registry:3.1.1"}, {"registry-replication-controller": "replace"}),
    (
        {"controller": "Deployment"},
        {
            "registry-deployment": "create",
            "registry-first-template": "delete",
            "registry-replication-controller": "delete",
        },
    ),
]
"""Changes one after the other, and what each changes."""


@pytest.fixture(autouse=True, scope="module")
def deployed(stack: RegistryStack) -> None:
    stack.up(**POST)


def test_each_change_is_what_the_preview_says_and_no_pull_fails_meanwhile(stack: RegistryStack, tmp_path: Path) -> None:
    crane, settings = stack.crane(), dict(POST)
    digest = push(crane, f"{stack.hostname}/steady:1", tmp_path)
    client = RegistryClient(stack)
    for change, expected in UPDATES:
        settings |= change
        assert stack.preview(**settings) == expected, change
        with Repeatedly(lambda: client.pull("steady", "1"), interval=0.1) as pulls:
            stack.up(**settings)
        assert pulls.failures == [], change
        assert pulls.count > 20
        assert client.pull("steady", "1") == digest
        image = f"{stack.hostname}/after:1"
        assert push(crane, image, tmp_path) == pull(crane, image, tmp_path), change
    assert stack.preview(**settings) == {}
