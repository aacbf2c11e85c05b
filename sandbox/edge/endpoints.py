"""From a NodePort to the pods behind it, as kube-proxy does it: Services and EndpointSlices, watched."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from kubernetes_asyncio import client

from sandbox import watching
from sandbox.edge.routes import Network, UnreachableError
from sandbox.layout import Layout
from sandbox.watching import Resources

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
        self.services = Resources()
        self.slices = Resources()
        self._turns: dict[tuple[str, str, str], itertools.count[int]] = {}

    def behind(self, node_port: int) -> list[Endpoint]:
        """Return the endpoints of the Service with `node_port`, each call starting with the next (round robin).

        They are the ready ones or, as with kube-proxy, if there is none, those that still serve while they terminate.
        Raises UnreachableError if there is no such Service, or no endpoint.
        """
        if not (self.services.are_known and self.slices.are_known):
            raise UnreachableError("the edge has not heard from Kubernetes yet: wait, or see the log of kube-apiserver")
        namespace, name, port = self._service_port(node_port)
        ready: list[Endpoint] = []
        serving: list[Endpoint] = []
        for one in self.slices.all():
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
        for service in self.services.all():
            for port in service["spec"].get("ports") or []:
                if port.get("nodePort") == node_port:
                    return service["metadata"]["namespace"], service["metadata"]["name"], port.get("name") or ""
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
            watching.follow(
                table.services, kubeconfig, lambda api: client.CoreV1Api(api).list_service_for_all_namespaces
            )
        )
        group.create_task(
            watching.follow(
                table.slices, kubeconfig, lambda api: client.DiscoveryV1Api(api).list_endpoint_slice_for_all_namespaces
            )
        )
