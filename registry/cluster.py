"""The cluster as it is found: asked once, before anything is registered, and told as plain data."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import pulumi

from registry.load_balancer.service_class import Refused
from registry.settings import told

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, ApiException, Configuration

TIMEOUT_SECONDS = 10
"""How long the cluster may take to be connected, and again to answer."""

_COLLECTIONS = {
    "namespace": "api/v1/namespaces",
    "deployment": "apis/apps/v1/namespaces/{namespace}/deployments",
    "replicationcontroller": "api/v1/namespaces/{namespace}/replicationcontrollers",
    "service": "api/v1/namespaces/{namespace}/services",
    "serviceaccount": "api/v1/namespaces/{namespace}/serviceaccounts",
    "networkpolicy": "apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
}
"""Where the API server has the objects of a kind."""

_EKS_SERVER = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:eks\.amazonaws\.com(?:\.cn)?|api\.aws)$")
"""The name of a cluster's server: docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html"""


KUBE_SYSTEM = "namespace/kube-system"
"""Its uid is the cluster's identity, as nothing else is: github.com/kubernetes/kubernetes/issues/77487"""

_CHOOSE = "pulumi config set kubernetes:context NAME"


class ClusterError(pulumi.RunError):
    """The cluster cannot be asked. The message tells it as a mistake of the settings, at most four lines."""


@dataclass(frozen=True)
class Cluster:
    """What was asked of the cluster.

    `name` tells a person which one it is: the kubeconfig's context and the server. `objects` has those that exist, as
    the API server gives them, by what kubectl calls them: `deployment/kube-registry`. `has_namespace`: their namespace
    exists, as far as one may know; `namespace_labels`: its labels, None if one may not see it. `region`: the AWS region
    that the server's name tells, as EKS's do. `context` is the kubeconfig's, None without one; `is_named`: the stack's
    configuration says which one, or has the kubeconfig itself. `uid` tells the cluster from any other; None if one may
    not see it.
    """

    name: str
    objects: Mapping[str, Mapping[str, Any]]
    has_namespace: bool = True
    namespace_labels: Mapping[str, str] | None = None
    region: str | None = None
    context: str | None = None
    is_named: bool = True
    uid: str | None = None


@dataclass(frozen=True)
class _Target:
    """How to reach the cluster that the Kubernetes provider takes; `context` and `is_named` as of `Cluster`."""

    configuration: Configuration
    context: str | None
    is_named: bool

    @property
    def region(self) -> str | None:
        """The AWS region in the name of an EKS cluster's server."""
        found = _EKS_SERVER.search(urlsplit(self.configuration.host).hostname or "")
        return found[1] if found else None

    @property
    def name(self) -> str:
        """What a person knows the cluster by."""
        named = f"of context {self.context}" if self.context else "that this runs in"
        return f"the cluster {named} ({self.configuration.host})"

    def found(self, objects: Mapping[str, Mapping[str, Any]], namespace: str, *, has_namespace: bool = True) -> Cluster:
        """What was asked of this cluster, with the answers, namespaces among them."""
        seen = objects.get(f"namespace/{namespace}")
        return Cluster(
            self.name,
            {name: one for name, one in objects.items() if not name.startswith("namespace/")},
            has_namespace=has_namespace,
            namespace_labels=seen["metadata"].get("labels") or {} if seen else None,
            region=self.region,
            context=self.context,
            is_named=self.is_named,
            uid=objects[KUBE_SYSTEM]["metadata"]["uid"] if KUBE_SYSTEM in objects else None,
        )

    def error(self, rule: str, *remedy: str) -> ClusterError:
        """The error that this cluster breaks a rule, which completes "but must lead to a cluster that ..."."""
        rule = f"lead to a cluster that {rule}"
        return ClusterError(told("kubernetes:context", self.context, rule, "\n    ".join(remedy)))


def existing_objects(namespace: str, objects: Iterable[str]) -> Cluster:
    """Ask the cluster of the Kubernetes provider for the namespace, and for `objects` (`<kind>/<name>`) in it.

    The provider's cluster is that of `kubernetes:kubeconfig` (content or path), KUBECONFIG or ~/.kube/config, and there
    of `kubernetes:context` or the current context. Raises ClusterError.
    """
    # All models of the API come with it: half a second that nobody waits for whose settings are wrong.
    from kubernetes.client import ApiClient, ApiException
    from urllib3.exceptions import HTTPError

    target = _connection()
    found: dict[str, Mapping[str, Any]] = {}
    refused: list[str] = []
    with ApiClient(target.configuration) as client:
        for one in dict.fromkeys([KUBE_SYSTEM, f"namespace/{namespace}", *objects]):
            kind, path = one.partition("/")[0], _path(namespace, one)
            try:
                found[one] = _call(client, "GET", path)
            except ApiException as error:
                match error.status:
                    case 404:
                        if one == f"namespace/{namespace}":
                            return target.found(found, namespace, has_namespace=False)
                    case 403:
                        refused.append(f"{kind}s")
                    case 401:
                        raise target.error(
                            f"takes the kubeconfig's credentials, and {target.configuration.host} does not",
                            "log in again, until kubectl get namespaces works with that context,",
                            f"or choose another: {_CHOOSE}",
                        ) from None
                    case _:
                        raise target.error(
                            f"answers, and {target.configuration.host} says {error.status} {error.reason} to {path}",
                            "try again when kubectl get --raw /readyz says ok",
                        ) from None
            except (HTTPError, OSError) as error:
                raise target.error(
                    f"answers, and {target.configuration.host} cannot be reached: {_line(error)}",
                    "see that the cluster is there, and VPN or proxy let kubectl get namespaces through,",
                    f"or choose another context: {_CHOOSE}",
                ) from None
    # Who may see all that is in a namespace need not have the right to see the namespace itself.
    if set(refused) - {"namespaces"}:
        raise target.error(
            f"lets you see what is in the namespace {namespace} already, and it refuses: {', '.join(refused)}",
            "have a Role there that lets you get them: docs/rights.md has it. Perhaps there is no such namespace",
        )
    return target.found(found, namespace)


def pods(namespace: str, labels: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Return the pods with these labels, as the API server gives them. Raises ClusterError."""
    return _list(namespace, "pods", "label", labels)


def events(namespace: str, kind: str, name: str) -> list[Mapping[str, Any]]:
    """Return the events of an object of the last hour, as the API server gives them. Raises ClusterError."""
    return _list(namespace, "events", "field", {"involvedObject.kind": kind, "involvedObject.name": name})


def _list(namespace: str, collection: str, by: str, chosen: Mapping[str, str]) -> list[Mapping[str, Any]]:
    from kubernetes.client import ApiClient, ApiException
    from urllib3.exceptions import HTTPError

    selector = ",".join(f"{name}%3D{value}" for name, value in chosen.items())
    target = _connection()
    try:
        with ApiClient(target.configuration) as client:
            return _call(client, "GET", f"/api/v1/namespaces/{namespace}/{collection}?{by}Selector={selector}")["items"]
    except (ApiException, HTTPError, OSError) as error:
        raise target.error(
            f"lists the {collection} in the namespace {namespace}, and it does not: {_line(error)}",
            f"have a Role there that lets you list {collection}: docs/rights.md has it",
        ) from None


def given_class(namespace: str, *, labels: Mapping[str, str], annotations: Mapping[str, str]) -> str | Refused | None:
    """The class that the cluster gives a new Service of type LoadBalancer by itself, as webhooks and policies do, which
    go by its labels and annotations.

    Asked by a dry run, which makes nothing: it needs the right to create Services. Raises ClusterError.
    """
    from kubernetes.client import ApiClient, ApiException
    from urllib3.exceptions import HTTPError

    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"generateName": "kube-registry-", "labels": labels, "annotations": annotations},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 443}]},
    }
    services = f"/{_COLLECTIONS['service'].format(namespace=namespace)}"
    target = _connection()
    try:
        with ApiClient(target.configuration) as client:
            made = _call(client, "POST", f"{services}?dryRun=All", service)
    except ApiException as error:
        message = _message(error)  # admission refuses by 403 as well
        return Refused(message, is_denied="cannot create resource" in message)
    except (HTTPError, OSError) as error:
        return Refused(_line(error))
    return made["spec"].get("loadBalancerClass")


def patch(namespace: str, name: str, operations: Callable[[Mapping[str, Any]], list[dict[str, Any]]]) -> None:
    """Patch an object, `<kind>/<name>`, by the JSON operations that are made of what it is, in the provider's name.

    It is the name under which the provider wrote before it had server-side apply: what is written so is its own at its
    next update. Raises ClusterError if there is no cluster, ApiException and HTTPError.
    """
    from kubernetes.client import ApiClient

    with ApiClient(_connection().configuration) as client:
        path = _path(namespace, name)
        if body := operations(_call(client, "GET", path)):
            _call(client, "PATCH", f"{path}?fieldManager=pulumi-kubernetes", body)


def _path(namespace: str, name: str) -> str:
    kind, _, object_name = name.partition("/")
    return f"/{_COLLECTIONS[kind].format(namespace=namespace)}/{object_name}"


def _call(client: ApiClient, method: str, path: str, body: Any = None) -> Mapping[str, Any]:
    type_ = "application/json-patch+json" if method == "PATCH" else "application/json"
    headers = {"Accept": "application/json"} | ({"Content-Type": type_} if body else {})
    answer: Any = client.call_api(
        path,
        method,
        header_params=headers,
        body=body,
        auth_settings=["BearerToken"],
        _preload_content=False,
        _return_http_data_only=True,
        _request_timeout=(TIMEOUT_SECONDS, TIMEOUT_SECONDS),
    )
    return json.loads(answer.data)


def _connection() -> _Target:
    """Raises ClusterError."""
    from kubernetes.config import ConfigException

    provider = pulumi.Config("kubernetes")
    try:
        return _kubeconfig(provider)
    except (ConfigException, OSError) as error:
        rule = f"name a context of a kubeconfig, and there is none: {_line(error)}"
        remedy = f"name a kubeconfig by KUBECONFIG or kubernetes:kubeconfig, and a context in it: {_CHOOSE}"
        raise ClusterError(told("kubernetes:context", provider.get("context"), rule, remedy)) from None


def _kubeconfig(provider: pulumi.Config) -> _Target:
    """Raises ConfigException or OSError."""
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_incluster_config
    from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

    configuration = Configuration()
    configuration.retries = 1  # pyright: ignore[reportAttributeAccessIssue] (typed as None)
    # The client would take HTTP_PROXY for a server that is reached by HTTPS.
    configuration.proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    given = provider.get("kubeconfig")
    files = os.environ.get("KUBECONFIG") or "~/.kube/config"
    is_content = given and ("\n" in given or given.startswith("{"))
    merger = KubeConfigMerger(io.StringIO(given) if given and is_content else given or files)
    if merger.config is None:
        if not given and "KUBERNETES_SERVICE_HOST" in os.environ:
            load_incluster_config(client_configuration=configuration)
            return _Target(configuration, None, is_named=False)
        raise ConfigException(f"there is no kubeconfig at {given or files}")
    # Of several files the provider takes the first that names a context, the client's own choice is the last.
    named = (file.get("current-context") for file in merger.config_files.values())
    context = provider.get("context") or next(filter(None, named), None)
    # Paths in a file are relative to its directory.
    loader = KubeConfigLoader(merger.config, active_context=context, config_base_path=cast(str, None))
    if cluster := provider.get("cluster"):
        loader.current_context["context"]["cluster"] = cluster
        loader.set_active_context(context)
    loader.load_and_set(configuration)
    return _Target(configuration, loader.current_context["name"], bool(provider.get("context") or is_content))


def _message(error: ApiException) -> str:
    """What the API server says, on one line."""
    try:
        return " ".join(str(json.loads(error.body or "")["message"]).split()).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return _line(error)


def _line(error: Exception) -> str:
    """The reason of an error, on one line."""
    cause = getattr(error, "reason", None) or error
    return " ".join(str(cause).split()).rstrip(".")
