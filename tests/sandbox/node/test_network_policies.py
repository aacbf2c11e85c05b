"""The product's own NetworkPolicies on a real cluster: what they close, and what breaks without one of their rules."""

from __future__ import annotations

import re
import select
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from registry import network_policies
from registry.pod import POD_LABELS
from registry.settings import BucketSettings, Settings
from sandbox.connection_marks import mark
from sandbox.layout import UNUSED_PORT
from tests.sandbox.node.node_sandbox import NodeSandbox, answers, pod, registry

pytestmark = pytest.mark.sandbox

PORT, DEBUG_PORT, OTHER_PORT = 5000, 5001, 8080
NAME = "policed"


class Upstream:
    """What the registry in the pod asks for what it does not have, at the address of the sandbox's own things."""

    def __init__(self, address: str) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200 if self.path == "/v2/" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer((address, UNUSED_PORT), Handler)
        self.url = f"http://{address}:{UNUSED_PORT}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def upstream(sandbox: NodeSandbox) -> Iterator[Upstream]:
    made = Upstream(sandbox.layout.address)
    yield made
    made.server.shutdown()
    made.server.server_close()


def listening(name: str, port: int, **environment: str) -> dict[str, Any]:
    """A registry on `port`, with nothing else on a port that others reach."""
    values = {"REGISTRY_HTTP_ADDR": f":{port}", "REGISTRY_HTTP_DEBUG_ADDR": f"127.0.0.1:{port + 1000}"} | environment
    env = [{"name": key, "value": value} for key, value in values.items()]
    return registry(
        name=name,
        env=env,
        ports=[{"name": name, "containerPort": port}],
        readinessProbe={"httpGet": {"path": "/", "port": name}, "periodSeconds": 1},
        livenessProbe={"tcpSocket": {"port": name}},
    )


def products_policies(endpoint: str) -> dict[str, dict[str, Any]]:
    """The policies by name, as Pulumi writes them, for a stack with that S3."""
    settings = Settings(hostname="registry.example.com", bucket=BucketSettings(endpoint=endpoint, tls_only=False))
    return {
        name: {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name},
            "spec": _in_camel_case(spec),
        }
        for name, spec in network_policies.specs(settings).items()
    }


def _in_camel_case(value: Any) -> Any:
    if isinstance(value, dict):
        return {re.sub("_(.)", lambda found: found[1].upper(), key): _in_camel_case(one) for key, one in value.items()}
    return [_in_camel_case(one) for one in value] if isinstance(value, list) else value


@contextmanager
def connecting(address: str, port: int, source: str | None = None) -> Iterator[socket.socket]:
    """A connection begun: on loopback, it is made at once or its first packet was dropped."""
    with socket.socket() as client:
        if source:
            client.bind((source, 0))
            mark(client)
        client.setblocking(False)
        client.connect_ex((address, port))
        yield client


def is_open(address: str, port: int, source: str | None = None) -> bool:
    with connecting(address, port, source) as client:
        return bool(select.select([], [client], [], 0)[1]) and not client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def test_the_policies_close_what_the_registry_does_not_need_and_each_rule_is_needed(
    sandbox: NodeSandbox, upstream: Upstream
) -> None:
    proxied = listening("registry", PORT, REGISTRY_PROXY_REMOTEURL=upstream.url)
    made = pod(NAME, proxied)
    made["metadata"]["labels"] |= POD_LABELS
    made["spec"]["containers"] += [listening("debug", DEBUG_PORT), listening("other", OTHER_PORT)]
    sandbox.apply(made)
    (one,) = sandbox.await_ready(NAME, 1)
    address = sandbox.layout.loopback_of(one["status"]["podIP"])
    ports = (PORT, DEBUG_PORT, OTHER_PORT)

    def opened(source: str | None = None) -> list[int]:
        return [port for port in ports if is_open(address, port, source)]

    def probes() -> int:
        return sandbox.kubectl("logs", NAME, "-c", "other").count("kube-probe")

    assert opened() == [*ports]

    policies = products_policies(upstream.url)
    main, *to_s3 = policies.values()
    sandbox.apply(*policies.values())
    sandbox.until(lambda: opened() == [PORT], "all ports but the registry's closed")
    assert opened(sandbox.layout.node_address) == [*ports]  # load balancers' targets are instances
    before = probes()
    sandbox.until(lambda: probes() > before + 2, "probes of a port that is closed")
    assert answers(f"http://{address}:{PORT}/v2/absent/manifests/1") == 404
    assert "/v2/absent/manifests/1" in upstream.asked

    # The order of the API server's news is that of the changes: who has heard of the second has heard of the first.
    sandbox.kubectl("delete", "networkpolicy", *(policy["metadata"]["name"] for policy in to_s3))
    sandbox.apply(main | {"spec": main["spec"] | {"ingress": []}})
    sandbox.until(lambda: opened() == [], "the registry's port closed, too")
    sandbox.apply(main)
    sandbox.until(lambda: opened() == [PORT], "the registry's port open again")
    with ThreadPoolExecutor(1) as threads:
        pulled: Future[int | None] = threads.submit(answers, f"http://{address}:{PORT}/v2/missed/manifests/1")
        assert answers(f"http://{address}:{PORT}/v2/") == 200
        assert not pulled.done()
        assert not any("missed" in path for path in upstream.asked)
        sandbox.apply(*to_s3)
        assert pulled.result() == 404  # what was dropped is sent again
    assert any("missed" in path for path in upstream.asked)

    assert one["metadata"]["uid"] == sandbox.await_ready(NAME, 1)[0]["metadata"]["uid"]
    sandbox.kubectl("delete", "networkpolicy", *policies)
    sandbox.until(lambda: opened() == [*ports], "all ports open without policies")
    sandbox.kubectl("delete", "pod", NAME)


def test_pods_reach_one_another_as_far_as_namespace_labels_and_the_ports_name_let_them(sandbox: NodeSandbox) -> None:
    sandbox.apply(pod("served", registry()))
    (served,) = sandbox.await_ready("served", 1)
    client = pod(
        "asking", listening("asking", PORT, REGISTRY_PROXY_REMOTEURL=f"http://{served['status']['podIP']}:{PORT}")
    )
    sandbox.apply(client)
    (asking,) = sandbox.await_ready("asking", 1)
    url = f"{sandbox.url(asking)}/v2/absent/manifests/1"
    assert answers(url) == 404  # as the other registry says

    here = {"matchLabels": {"kubernetes.io/metadata.name": "default"}}
    peer = {"namespaceSelector": here, "podSelector": {"matchLabels": {"role": "client"}}}
    spec = {
        "podSelector": {"matchLabels": {"app": "served"}},
        "ingress": [{"from": [peer], "ports": [{"port": "registry"}]}],
    }
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "served"},
        "spec": spec,
    }
    sandbox.apply(policy)
    sandbox.until(lambda: not is_open(sandbox.layout.loopback_of(served["status"]["podIP"]), PORT), "the port closed")
    with ThreadPoolExecutor(1) as threads:
        pulled = threads.submit(answers, url)
        assert answers(f"{sandbox.url(asking)}/v2/") == 200
        assert not pulled.done()
        sandbox.kubectl("label", "pod", "asking", "role=client")
        assert pulled.result() == 404
    assert not is_open(sandbox.layout.loopback_of(served["status"]["podIP"]), PORT)  # to those outside of the cluster
    sandbox.kubectl("delete", "networkpolicy", "served")
    sandbox.kubectl("delete", "pod", "served", "asking")
