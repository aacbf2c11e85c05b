from __future__ import annotations

from typing import Any

import pytest

from sandbox.node.images import ImageConfig
from sandbox.node.pod_environment import (
    ContainerConfigError,
    Objects,
    command,
    content,
    environment,
    expand,
    kept_capabilities,
    references,
    user,
)
from tests.sandbox.node.pods import UID, api_object, pod

IMAGE = ImageConfig(
    references=["registry:3.1.1"],
    digest="sha256:" + "0" * 64,
    size=1,
    entrypoint=["registry"],
    cmd=["serve", "/etc/distribution/config.yml"],
    env={"PATH": "/bin", "OTEL_TRACES_EXPORTER": "none"},
    user=0,
)
OBJECTS = Objects(
    secrets={"keys": {"id": b"AKIA", "secret": b"s3cr3t"}},
    config_maps={"settings": {"LEVEL": b"debug", "id": b"from-config"}},
)


def service(name: str, namespace: str, address: str | None, *ports: tuple[str | None, int]) -> Any:
    return api_object(
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": address, "ports": [{"name": n, "port": p, "protocol": "TCP"} for n, p in ports]},
        },
        "V1Service",
    )


def variables(
    *env: dict[str, Any], env_from: list[dict[str, Any]] | None = None, objects: Objects = OBJECTS, **spec: Any
):
    one = pod({"env": list(env), "envFrom": env_from or []}, **spec)
    return environment(one, one.spec.containers[0], IMAGE, objects, "/root")


def secret_variable(name: str, key: str, **more: Any) -> dict[str, Any]:
    return {"name": "V", "valueFrom": {"secretKeyRef": {"name": name, "key": key, **more}}}


def test_the_environment_is_exactly_the_runtimes_the_images_and_the_pods() -> None:
    assert variables({"name": "REGISTRY_HTTP_ADDR", "value": ":5000"}) == {
        "HOSTNAME": "web",
        "HOME": "/root",
        "PATH": "/bin",
        "OTEL_TRACES_EXPORTER": "none",
        "REGISTRY_HTTP_ADDR": ":5000",
    }


def test_the_pod_overrides_the_image() -> None:
    assert variables({"name": "OTEL_TRACES_EXPORTER", "value": "otlp"})["OTEL_TRACES_EXPORTER"] == "otlp"


def test_a_secrets_key_becomes_a_value() -> None:
    assert variables(secret_variable("keys", "secret"))["V"] == "s3cr3t"


def test_a_config_maps_key_becomes_a_value() -> None:
    reference = {"name": "V", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "LEVEL"}}}
    assert variables(reference)["V"] == "debug"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"secretKeyRef": {"name": "none", "key": "k"}}, 'secret "none" not found'),
        ({"secretKeyRef": {"name": "keys", "key": "k"}}, "couldn't find key k in Secret shop/keys"),
        ({"configMapKeyRef": {"name": "none", "key": "k"}}, 'configmap "none" not found'),
        ({"configMapKeyRef": {"name": "settings", "key": "k"}}, "couldn't find key k in ConfigMap shop/settings"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "environment variable V: the sandbox's node does not"),
        ({"fieldRef": {"fieldPath": "spec.hostname"}}, "unsupported fieldPath: spec.hostname"),
    ],
)
def test_a_reference_without_object_or_key_is_the_kubelets_error(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ContainerConfigError) as raised:
        variables({"name": "V", "valueFrom": source})
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(("name", "key"), [("none", "k"), ("keys", "k")])
def test_an_optional_reference_without_object_or_key_gives_no_variable(name: str, key: str) -> None:
    assert "V" not in variables(secret_variable(name, key, optional=True))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", UID),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['example.test/note']", "hello"),
        ("metadata.labels['none']", ""),
        ("spec.nodeName", "node-1"),
        ("spec.serviceAccountName", "robot"),
        ("status.podIP", "10.9.1.2"),
        ("status.hostIP", "172.31.0.4"),
    ],
)
def test_a_field_of_the_pod_becomes_a_value(path: str, value: str) -> None:
    assert variables({"name": "V", "valueFrom": {"fieldRef": {"fieldPath": path}}})["V"] == value


def test_all_keys_of_an_object_become_variables_and_later_ones_and_env_win() -> None:
    found = variables(
        {"name": "secret", "value": "own"},
        env_from=[{"secretRef": {"name": "keys"}}, {"prefix": "C_", "configMapRef": {"name": "settings"}}],
    )
    assert {key: found[key] for key in ("id", "secret", "C_LEVEL", "C_id")} == {
        "id": "AKIA",
        "secret": "own",
        "C_LEVEL": "debug",
        "C_id": "from-config",
    }


def test_a_missing_object_of_env_from_is_an_error_unless_it_is_optional() -> None:
    with pytest.raises(ContainerConfigError, match='configmap "none" not found'):
        variables(env_from=[{"configMapRef": {"name": "none"}}])
    assert "id" not in variables(env_from=[{"configMapRef": {"name": "none", "optional": True}}])


def test_a_value_refers_to_variables_before_it_only() -> None:
    found = variables(
        {"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(C)"}, {"name": "C", "value": "$$(A)$(B)"}
    )
    assert (found["B"], found["C"]) == ("1-$(C)", "$(A)1-$(C)")


@pytest.mark.parametrize(
    ("text", "expanded"),
    [("$(A)", "1"), ("$$(A)", "$(A)"), ("$$$(A)", "$1"), ("$A $", "$A $"), ("$(A", "$(A"), ("$(B)$(A)", "$(B)1")],
)
def test_references_are_expanded_by_kubernetes_rules(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}.get) == expanded


def test_services_of_the_namespace_are_variables_as_the_kubelet_gives_them() -> None:
    services = [service("kube-registry", "shop", "172.20.1.2", ("http", 80)), service("other", "else", "172.20.1.3")]
    found = variables(objects=Objects(services=services))
    assert {key: value for key, value in found.items() if key.startswith("KUBE_REGISTRY")} == {
        "KUBE_REGISTRY_SERVICE_HOST": "172.20.1.2",
        "KUBE_REGISTRY_SERVICE_PORT": "80",
        "KUBE_REGISTRY_SERVICE_PORT_HTTP": "80",
        "KUBE_REGISTRY_PORT": "tcp://172.20.1.2:80",
        "KUBE_REGISTRY_PORT_80_TCP": "tcp://172.20.1.2:80",
        "KUBE_REGISTRY_PORT_80_TCP_PROTO": "tcp",
        "KUBE_REGISTRY_PORT_80_TCP_PORT": "80",
        "KUBE_REGISTRY_PORT_80_TCP_ADDR": "172.20.1.2",
    }
    assert not [key for key in found if key.startswith("OTHER")]


def test_a_service_named_registry_gives_a_variable_that_the_registry_would_read() -> None:
    services = [service("registry", "shop", "172.20.1.2", (None, 80))]
    assert variables(objects=Objects(services=services))["REGISTRY_PORT"] == "tcp://172.20.1.2:80"


def test_the_pod_overrides_service_variables_and_may_refer_to_them() -> None:
    services = [service("db", "shop", "172.20.1.2", (None, 80))]
    found = variables(
        {"name": "URL", "value": "$(DB_SERVICE_HOST)"},
        {"name": "DB_PORT", "value": "1"},
        objects=Objects(services=services),
    )
    assert (found["URL"], found["DB_PORT"]) == ("172.20.1.2", "1")


def test_without_service_links_only_the_api_server_is_left_and_headless_services_never_are() -> None:
    services = [
        service("db", "shop", "172.20.1.2", (None, 80)),
        service("kubernetes", "default", "172.20.0.1", ("https", 443)),
    ]
    found = variables(objects=Objects(services=services), enableServiceLinks=False)
    assert found["KUBERNETES_SERVICE_HOST"] == "172.20.0.1"
    assert "DB_SERVICE_HOST" not in found
    headless = [service("db", "shop", "None", (None, 80))]
    assert "DB_SERVICE_HOST" not in variables(objects=Objects(services=headless))


@pytest.mark.parametrize(
    ("container", "line"),
    [
        ({}, ["registry", "serve", "/etc/distribution/config.yml"]),
        ({"args": ["garbage-collect"]}, ["registry", "garbage-collect"]),
        ({"command": ["/bin/registry"]}, ["/bin/registry"]),
        ({"command": ["/bin/registry"], "args": ["--version"]}, ["/bin/registry", "--version"]),
        ({"args": ["$(A)", "$$(A)", "$(B)"]}, ["registry", "1", "$(A)", "$(B)"]),
    ],
)
def test_command_and_args_replace_the_images_as_kubernetes_says(container: dict[str, Any], line: list[str]) -> None:
    one = pod(container)
    assert command(one.spec.containers[0], IMAGE, {"A": "1"}) == line


def user_of(container: dict[str, Any], whole: dict[str, Any]) -> tuple[int, int]:
    one = pod({"securityContext": container}, securityContext=whole)
    return user(one, one.spec.containers[0], IMAGE)


def test_the_user_is_the_containers_before_the_pods_before_the_images() -> None:
    assert user_of({}, {}) == (0, 0)
    assert user_of({}, {"runAsUser": 1000, "runAsGroup": 2000}) == (1000, 2000)
    assert user_of({"runAsUser": 1}, {"runAsUser": 1000}) == (1, 0)


def test_root_is_refused_where_it_may_not_be() -> None:
    which = f'(pod: "web_shop({UID})", container: registry)'
    with pytest.raises(ContainerConfigError) as raised:
        user_of({}, {"runAsNonRoot": True})
    assert str(raised.value) == f"container has runAsNonRoot and image will run as root {which}"
    with pytest.raises(ContainerConfigError) as raised:
        user_of({"runAsUser": 0, "runAsNonRoot": True}, {})
    assert str(raised.value) == f"container's runAsUser breaks non-root policy {which}"
    assert user_of({"runAsNonRoot": False}, {"runAsNonRoot": True}) == (0, 0)


def test_capabilities_are_dropped_and_added() -> None:
    def kept(**capabilities: list[str]) -> frozenset[str]:
        return kept_capabilities(pod({"securityContext": {"capabilities": capabilities}}).spec.containers[0])

    assert kept(drop=["ALL"]) == frozenset()
    assert kept(drop=["ALL"], add=["NET_BIND_SERVICE"]) == {"NET_BIND_SERVICE"}
    assert kept_capabilities(pod().spec.containers[0]) - kept(drop=["CHOWN"]) == {"CHOWN"}


def test_every_reference_of_a_pod_is_known_before_it_is_fetched() -> None:
    one = pod(
        {
            "env": [secret_variable("in-env", "k")],
            "envFrom": [{"configMapRef": {"name": "in-env-from"}}, {"secretRef": {"name": "all"}}],
        },
        volumes=[
            {"name": "a", "secret": {"secretName": "in-volume"}},
            {"name": "b", "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "ca"}}]}},
        ],
    )
    found = references(one)
    assert found.secrets == {"in-env", "all", "in-volume", "projected"}
    assert found.config_maps == {"in-env-from", "ca"}


def test_contents_are_bytes_whether_they_came_as_text_or_as_base64() -> None:
    assert content({"a": "text"}, {"b": "AAE="}) == {"a": b"text", "b": b"\x00\x01"}
