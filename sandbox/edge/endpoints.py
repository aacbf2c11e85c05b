"""From a NodePort to the pods behind it, as kube-proxy does it: Services and EndpointSlices, watched."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

from kubernetes_asyncio import client, config, watch

from sandbox.edge.routes import Network, UnreachableError
from sandbox.layout import Layout

log = logging.getLogger("sandbox.edge")

WATCH_SECONDS = 300
"""After this long everything is listed anew."""
RETRY_SECONDS = 0.5

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetesioservice-name"""


@dataclass(frozen=True, order=True)
class Endpoint:
    """A pod's address, as Kubernetes knows it, and its port."""

    address: str
    port: int

    def __str__(self) -> str:
        """Return address:port."""
        return f"{self.address}:{self.port}"


def loopback_of(endpoint: Endpoint, pod_network: Network) -> str:
    """Return the loopback address that serves `endpoint`. Raises UnreachableError if it is none of the sandbox's."""
    if ip_address(endpoint.address) not in pod_network:
        raise UnreachableError(f"the endpoint {endpoint} is outside of the pods' {pod_network}")
    return Layout.loopback_of(endpoint.address)


class Endpoints(Protocol):
    """Who knows the endpoints behind a NodePort."""

    def behind(self, node_port: int) -> list[Endpoint]:
        """Return the endpoints in the order to try them. Raises UnreachableError if there is none."""
        ...


class ServiceTable:
    """The endpoints behind each NodePort, from Services and EndpointSlices (as the API's JSON objects)."""

    def __init__(self) -> None:
        self._services: dict[tuple[str, str], dict[str, Any]] | None = None
        self._slices: dict[tuple[str, str], dict[str, Any]] | None = None
        self._turns: dict[tuple[str, str, str], itertools.count[int]] = {}

    def replace_services(self, services: list[dict[str, Any]]) -> None:
        """Take `services` for all that exist."""
        self._services = {_key(service): service for service in services}

    def replace_slices(self, slices: list[dict[str, Any]]) -> None:
        """Take `slices` for all EndpointSlices that exist."""
        self._slices = {_key(one): one for one in slices}

    def change_service(self, change: str, service: dict[str, Any]) -> None:
        """Follow a watch event: `change` is ADDED, MODIFIED or DELETED."""
        _change(self._services, change, service)

    def change_slice(self, change: str, endpoint_slice: dict[str, Any]) -> None:
        """Follow a watch event: `change` is ADDED, MODIFIED or DELETED."""
        _change(self._slices, change, endpoint_slice)

    def behind(self, node_port: int) -> list[Endpoint]:
        """Return the endpoints of the Service with `node_port`, each call starting with the next (round robin).

        They are the ready ones or, as with kube-proxy, if there is none, those that still serve while they terminate.
        Raises UnreachableError if there is no such Service, or no endpoint.
        """
        if self._services is None or self._slices is None:
            raise UnreachableError("the edge has not heard from Kubernetes yet: wait, or see the log of kube-apiserver")
        namespace, name, port = self._service_port(node_port)
        ready: list[Endpoint] = []
        serving: list[Endpoint] = []
        for one in self._slices.values():
            labels = one["metadata"].get("labels") or {}
            if one["metadata"]["namespace"] != namespace or labels.get(SERVICE_NAME_LABEL) != name:
                continue
            numbers = [entry["port"] for entry in one.get("ports") or [] if (entry.get("name") or "") == port]
            for endpoint, number in itertools.product(one.get("endpoints") or [], numbers):
                conditions = endpoint.get("conditions") or {}
                found = Endpoint(endpoint["addresses"][0], number)
                if conditions.get("ready", True):
                    ready.append(found)
                elif conditions.get("serving", False) and conditions.get("terminating", False):
                    serving.append(found)
        if not (endpoints := sorted(set(ready or serving))):
            raise UnreachableError(
                f"the Service {namespace}/{name} has no ready endpoint: see why its pods are not ready, "
                f"kubectl -n {namespace} describe pods"
            )
        turn = next(self._turns.setdefault((namespace, name, port), itertools.count())) % len(endpoints)
        return endpoints[turn:] + endpoints[:turn]

    def _service_port(self, node_port: int) -> tuple[str, str, str]:
        for (namespace, name), service in (self._services or {}).items():
            for port in service["spec"].get("ports") or []:
                if port.get("nodePort") == node_port:
                    return namespace, name, port.get("name") or ""
        raise UnreachableError(
            f"no Service has the NodePort {node_port} of the listener: the load balancer is of a Service that is gone, "
            "wait until the cloud controller has deleted it"
        )


async def follow(table: ServiceTable, kubeconfig: Path) -> None:
    """Keep `table` as the API server of `kubeconfig` has it, until cancelled.

    While the API server can't be reached, the table stays as it is.
    """
    async with asyncio.TaskGroup() as group:
        group.create_task(
            _follow(
                kubeconfig,
                lambda api: client.CoreV1Api(api).list_service_for_all_namespaces,
                table.replace_services,
                table.change_service,
            )
        )
        group.create_task(
            _follow(
                kubeconfig,
                lambda api: client.DiscoveryV1Api(api).list_endpoint_slice_for_all_namespaces,
                table.replace_slices,
                table.change_slice,
            )
        )


async def _follow(
    kubeconfig: Path,
    listing: Callable[[client.ApiClient], Callable[..., Awaitable[Any]]],
    replace: Callable[[list[dict[str, Any]]], None],
    change: Callable[[str, dict[str, Any]], None],
) -> None:
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
                replace(listed["items"])
                events = watch.Watch(return_type="object").stream(
                    function, resource_version=listed["metadata"]["resourceVersion"], timeout_seconds=WATCH_SECONDS
                )
                async with events:
                    async for event in events:
                        change(event["type"], event["raw_object"])
        except Exception as error:  # whatever ends a watch (a line cut off by the API server's end too): list again
            reason = " ".join(str(error).split())[:200]
            log.info("no news from Kubernetes (%s: %s): trying again", type(error).__name__, reason)
            await asyncio.sleep(RETRY_SECONDS)


def _key(resource: dict[str, Any]) -> tuple[str, str]:
    return resource["metadata"]["namespace"], resource["metadata"]["name"]


def _change(resources: dict[tuple[str, str], dict[str, Any]] | None, change: str, resource: dict[str, Any]) -> None:
    if resources is None:
        raise RuntimeError("a change before the list that it changes")
    if change == "DELETED":
        resources.pop(_key(resource), None)
    else:
        resources[_key(resource)] = resource
