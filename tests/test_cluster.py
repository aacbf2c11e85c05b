"""The cluster as it is asked: which one, what it has, and what is said when it cannot be asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry.cluster import ClusterError, events, existing_objects, given_class, pods
from registry.load_balancer.service_class import Refused

DEPLOYMENT, SERVICE = "deployment/kube-registry", "service/kube-registry"
NAMESPACE = "/api/v1/namespaces/kube-system"
CLOSED = "http://127.0.0.1:1"
"""A server that refuses connections: nothing listens on port 1."""


class ApiServer(ThreadingHTTPServer):
    """Answers with what `answers` has for a path, a status or an object; 404 otherwise."""

    answers: dict[str, Any]

    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, ApiServer)
        answer = self.server.answers.get(self.path, 404)
        self.send_response(answer if isinstance(answer, int) else 200)
        self.end_headers()
        self.wfile.write(json.dumps({} if isinstance(answer, int) else answer).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, ApiServer)
        status, answer = self.server.answers[f"POST {self.path}"]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def api_server() -> Iterator[ApiServer]:
    with ApiServer(("127.0.0.1", 0), Handler) as server:
        server.answers = {NAMESPACE: {"metadata": {"name": "kube-system", "uid": "1234"}}}
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def kubeconfig(contexts: dict[str, str], current: str | None = None) -> str:
    """A kubeconfig whose contexts have these servers."""
    named = [{"name": name, "cluster": {"server": server}} for name, server in contexts.items()]
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": named,
        "users": [{"name": "somebody", "user": {"token": "a token"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "somebody"}} for name in contexts],
    }
    return yaml.safe_dump(content | ({"current-context": current} if current else {}))


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Set the Kubernetes provider's configuration, and write files that KUBECONFIG names."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)

    def set_(*files: str, **provider: str) -> None:
        paths = [tmp_path / f"kubeconfig-{number}" for number in range(len(files))]
        for path, content in zip(paths, files, strict=True):
            path.write_text(content)
        if paths:
            monkeypatch.setenv("KUBECONFIG", ":".join(map(str, paths)))
        configured = {f"kubernetes:{key}": value for key, value in provider.items()}
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps(configured))

    return set_


def test_what_exists_is_told_as_the_api_server_gives_it(api_server: ApiServer, configure: Any) -> None:
    deployment = {"metadata": {"name": "kube-registry"}}
    api_server.answers["/apis/apps/v1/namespaces/kube-system/deployments/kube-registry"] = deployment
    configure(kubeconfig({"here": api_server.url()}, "here"))
    found = existing_objects("kube-system", [DEPLOYMENT, SERVICE])
    assert found.objects == {DEPLOYMENT: deployment}
    assert found.name == f"the cluster of context here ({api_server.url()})"


@pytest.mark.parametrize("how", ["current", "setting", "first file", "content", "path", "cluster"])
def test_the_cluster_is_the_one_that_the_provider_takes(
    api_server: ApiServer, configure: Any, how: str, tmp_path: Path
) -> None:
    here, both = {"here": api_server.url()}, {"elsewhere": CLOSED, "here": api_server.url()}
    match how:
        case "current":
            configure(kubeconfig(both, "here"))
        case "setting":
            configure(kubeconfig(both, "elsewhere"), context="here")
        case "first file":
            configure(kubeconfig(here, "here"), kubeconfig({"elsewhere": CLOSED}, "elsewhere"))
        case "content":
            configure(kubeconfig({"elsewhere": CLOSED}, "elsewhere"), kubeconfig=kubeconfig(here, "here"))
        case "path":
            (tmp_path / "given").write_text(kubeconfig(here, "here"))
            configure(kubeconfig({"elsewhere": CLOSED}, "elsewhere"), kubeconfig=str(tmp_path / "given"))
        case "cluster":
            configure(kubeconfig(both, "elsewhere"), cluster="here")
    assert api_server.url() in existing_objects("kube-system", [DEPLOYMENT]).name


def test_a_cluster_is_told_from_others_by_the_uid_of_kube_system_as_far_as_one_may_see_it(
    api_server: ApiServer, configure: Any
) -> None:
    api_server.answers["/api/v1/namespaces/images"] = {"metadata": {"uid": "5678"}}
    configure(kubeconfig({"here": api_server.url()}, "here"))
    assert existing_objects("images", [DEPLOYMENT]).uid == existing_objects("kube-system", [DEPLOYMENT]).uid == "1234"
    api_server.answers[NAMESPACE] = 403
    assert existing_objects("images", [DEPLOYMENT]).uid is None


@pytest.mark.parametrize(
    ("how", "is_named"), [("current", False), ("context", True), ("content", True), ("path", False)]
)
def test_a_context_is_named_by_the_configuration_or_by_a_kubeconfig_in_it(
    api_server: ApiServer, configure: Any, tmp_path: Path, how: str, *, is_named: bool
) -> None:
    content = kubeconfig({"here": api_server.url()}, "here")
    path = tmp_path / "elsewhere"
    path.write_text(content)
    provider = {"context": {"context": "here"}, "content": {"kubeconfig": content}, "path": {"kubeconfig": str(path)}}
    configure(content, **provider.get(how, {}))
    found = existing_objects("kube-system", [])
    assert (found.context, found.is_named) == ("here", is_named)


def test_a_credential_plugin_is_run_as_eks_has_it(api_server: ApiServer, configure: Any) -> None:
    content = yaml.safe_load(kubeconfig({"here": api_server.url()}, "here"))
    credential = {"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential"}
    credential["status"] = {"token": "from the plugin"}  # type: ignore[assignment]
    command = {"apiVersion": credential["apiVersion"], "command": "echo", "args": [json.dumps(credential)]}
    content["users"][0]["user"] = {"exec": command}
    configure(yaml.safe_dump(content))
    assert existing_objects("kube-system", [DEPLOYMENT]).objects == {}


def refusal() -> str:
    with pytest.raises(ClusterError) as error:
        existing_objects("kube-system", [DEPLOYMENT, SERVICE])
    text = str(error.value)
    assert "Remedy: " in text
    assert len(text.splitlines()) <= 4
    assert "PULUMI_K8S" not in text
    return text


def test_a_cluster_that_cannot_be_reached_is_told_by_context_and_server(configure: Any) -> None:
    configure(kubeconfig({"gone": CLOSED}, "gone"))
    assert (
        f"kubernetes:context is 'gone', but must lead to a cluster that answers, and {CLOSED} cannot be reached: "
    ) in refusal()
    assert "pulumi config set kubernetes:context NAME" in refusal()


def test_without_a_kubeconfig_or_with_a_context_that_is_not_in_it_no_cluster_is_found(configure: Any) -> None:
    configure()
    assert (
        "kubernetes:context is not set, but must name a context of a kubeconfig, and there is none: "
        "there is no kubeconfig at ~/.kube/config."
    ) in refusal()
    configure(kubeconfig({"here": CLOSED}, "here"), context="misspelt")
    assert "kubernetes:context is 'misspelt', but must name a context of a kubeconfig" in refusal()


def test_what_the_cluster_refuses_is_told_with_the_remedy(api_server: ApiServer, configure: Any) -> None:
    configure(kubeconfig({"here": api_server.url()}, "here"))
    path = "/apis/apps/v1/namespaces/kube-system/deployments/kube-registry"
    for status, said in {
        401: f"takes the kubeconfig's credentials, and {api_server.url()} does not",
        403: "lets you see what is in the namespace kube-system already, and it refuses: deployments",
        500: f"answers, and {api_server.url()} says 500 Internal Server Error to {path}",
    }.items():
        api_server.answers[path] = status
        assert f"kubernetes:context is 'here', but must lead to a cluster that {said}." in refusal()


def test_a_namespace_that_does_not_exist_is_told_from_one_that_one_may_not_see(
    api_server: ApiServer, configure: Any
) -> None:
    configure(kubeconfig({"here": api_server.url()}, "here"))
    for answer, has_namespace in ({"metadata": {"uid": "1234"}}, True), (403, True), (404, False):
        api_server.answers[NAMESPACE] = answer
        assert existing_objects("kube-system", [DEPLOYMENT]).has_namespace is has_namespace


@pytest.mark.parametrize(
    ("server", "region"),
    [
        ("https://0123ABCD.gr7.eu-central-1.eks.amazonaws.com", "eu-central-1"),
        ("https://0123ABCD.yl4.us-gov-west-1.eks.amazonaws.com:443", "us-gov-west-1"),
        ("https://0123ABCD.sk1.cn-north-1.eks.amazonaws.com.cn", "cn-north-1"),
        ("https://0123ABCD.eks-cluster.us-west-2.api.aws", "us-west-2"),
        ("https://kubernetes.example.com", None),
        ("https://eu-central-1.eks.amazonaws.com.example.com", None),
    ],
)
def test_the_servers_name_of_an_eks_cluster_tells_its_region(
    configure: Any, monkeypatch: pytest.MonkeyPatch, server: str, region: str | None
) -> None:
    configure(kubeconfig({"here": server}, current="here"))
    monkeypatch.setattr("registry.cluster._call", lambda *_: {"metadata": {"uid": "1234"}})
    assert existing_objects("kube-system", []).region == region


def test_the_pods_with_labels_are_listed_or_it_is_told_what_forbids_it(api_server: ApiServer, configure: Any) -> None:
    configure(kubeconfig({"here": api_server.url()}, "here"))
    path = "/api/v1/namespaces/images/pods?labelSelector=k8s-app%3Dkube-registry"
    api_server.answers[path] = {"items": [{"metadata": {"name": "one"}}]}
    assert pods("images", {"k8s-app": "kube-registry"}) == [{"metadata": {"name": "one"}}]
    api_server.answers[path] = 403
    with pytest.raises(ClusterError, match="a cluster that lists the pods in the namespace images, and it does not"):
        pods("images", {"k8s-app": "kube-registry"})


def test_the_events_of_an_object_are_listed(api_server: ApiServer, configure: Any) -> None:
    configure(kubeconfig({"here": api_server.url()}, "here"))
    selector = "involvedObject.kind%3DService,involvedObject.name%3Dkube-registry"
    path = f"/api/v1/namespaces/images/events?fieldSelector={selector}"
    api_server.answers[path] = {"items": [{"reason": "EnsuredLoadBalancer"}]}
    assert events("images", "Service", "kube-registry") == [{"reason": "EnsuredLoadBalancer"}]
    api_server.answers[path] = 403
    with pytest.raises(ClusterError, match="lists the events in the namespace images, and it does not"):
        events("images", "Service", "kube-registry")


QUESTION = f"POST {NAMESPACE}/services?dryRun=All"


@pytest.mark.parametrize(
    ("answer", "given"),
    [
        ((201, {"spec": {"loadBalancerClass": "service.k8s.aws/nlb"}}), "service.k8s.aws/nlb"),
        ((201, {"spec": {}}), None),
        (
            (403, {"message": 'services is forbidden: User "ann" cannot create resource "services"'}),
            Refused('services is forbidden: User "ann" cannot create resource "services"', is_denied=True),
        ),
        ((403, {"message": "denied by a policy"}), Refused("denied by a policy")),
        (
            (500, {"message": "failed calling webhook: no endpoints available."}),
            Refused("failed calling webhook: no endpoints available"),
        ),
    ],
)
def test_a_dry_run_tells_which_class_the_cluster_gives_a_service(
    api_server: ApiServer, configure: Any, answer: tuple[int, Any], given: str | Refused | None
) -> None:
    configure(kubeconfig({"here": api_server.url()}, "here"))
    api_server.answers[QUESTION] = answer
    assert given_class("kube-system", labels={}, annotations={}) == given
