"""What the API server has of one kind, watched: plain JSON objects, kept as they are there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from kubernetes_asyncio import client, config, watch

log = logging.getLogger(__name__)

WATCH_SECONDS = 300
"""After this long everything is listed anew."""
RETRY_SECONDS = 0.5

Listing = Callable[[client.ApiClient], Callable[..., Awaitable[Any]]]
"""Returns the client's method that lists, and watches, resources of one kind."""


class Resources:
    """All resources of one kind, by namespace (empty for those that are in none) and name."""

    def __init__(self, changed: Callable[[], object] = lambda: None) -> None:
        """`changed` is called after each change."""
        self._known: dict[tuple[str, str], dict[str, Any]] | None = None
        self._changed = changed

    @property
    def are_known(self) -> bool:
        """Whether Kubernetes was heard from."""
        return self._known is not None

    def all(self) -> list[dict[str, Any]]:
        """Return them; none before Kubernetes was heard from."""
        return list((self._known or {}).values())

    def replace(self, resources: list[dict[str, Any]]) -> None:
        """Take `resources` for all that exist."""
        self._known = {_key(one): one for one in resources}
        self._changed()

    def change(self, change: str, resource: dict[str, Any]) -> None:
        """Follow a watch event: `change` is ADDED, MODIFIED or DELETED."""
        if self._known is None:
            raise RuntimeError("a change before the list that it changes")
        if change == "DELETED":
            self._known.pop(_key(resource), None)
        else:
            self._known[_key(resource)] = resource
        self._changed()


def _key(resource: dict[str, Any]) -> tuple[str, str]:
    return resource["metadata"].get("namespace", ""), resource["metadata"]["name"]


async def follow(resources: Resources, kubeconfig: Path, listing: Listing) -> None:
    """Keep `resources` as the API server of `kubeconfig` has them, until cancelled.

    While the API server can't be reached, they stay as they are.
    """
    while True:
        try:
            configuration = client.Configuration()
            await config.load_kube_config(str(kubeconfig), client_configuration=configuration)
            async with client.ApiClient(configuration) as api:
                # As plain JSON: the client's models refuse a slice without endpoints.
                function = listing(api)
                response = await function(_preload_content=False, _request_timeout=10)
                response.raise_for_status()
                listed = await response.json()
                resources.replace(listed["items"])
                events = watch.Watch(return_type="object").stream(
                    function, resource_version=listed["metadata"]["resourceVersion"], timeout_seconds=WATCH_SECONDS
                )
                async with events:
                    async for event in events:
                        resources.change(event["type"], event["raw_object"])
        except Exception as error:  # whatever ends a watch (a line cut off by the API server's end too): list again
            reason = " ".join(str(error).split())[:200]
            log.info("no news from Kubernetes (%s: %s): trying again", type(error).__name__, reason)
            await asyncio.sleep(RETRY_SECONDS)
