"""From a pod's spec, and the objects that it refers to, to a container's environment, command and user; pure.

The rules are Kubernetes' and the kubelet's own (pkg/kubelet/kubelet_pods.go, third_party/forked/golang/expansion), and
so are the messages of errors.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubernetes_asyncio.client import V1Container, V1EnvVar, V1ObjectFieldSelector, V1Pod, V1Service

from sandbox.node.images import ImageConfig
from sandbox.node.runtime.container import CAPABILITIES

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.*)'\]$")


class ContainerConfigError(Exception):
    """A container can't be created as its pod says; the message is the kubelet's."""


@dataclass(frozen=True)
class Objects:
    """The Secrets and ConfigMaps of a pod's namespace that it refers to, and the Services that it may see.

    Secrets and ConfigMaps are name -> key -> content; one that does not exist is missing.
    """

    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    config_maps: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    services: Iterable[V1Service] = ()


@dataclass(frozen=True)
class References:
    """The names of what a pod refers to in its namespace."""

    secrets: frozenset[str]
    config_maps: frozenset[str]


def references(pod: V1Pod) -> References:
    """Return the names of the Secrets and ConfigMaps that environments and volumes of `pod` refer to."""
    secrets: list[Any] = []
    config_maps: list[Any] = []
    for container in pod.spec.containers:
        for source in container.env_from or []:
            secrets.append(source.secret_ref)
            config_maps.append(source.config_map_ref)
        for variable in container.env or []:
            if variable.value_from:
                secrets.append(variable.value_from.secret_key_ref)
                config_maps.append(variable.value_from.config_map_key_ref)
    for volume in pod.spec.volumes or []:
        for source in [volume, *(volume.projected.sources or [] if volume.projected else [])]:
            secrets.append(source.secret)
            config_maps.append(source.config_map)
    return References(
        frozenset(secret_name(one) for one in secrets if one), frozenset(one.name for one in config_maps if one)
    )


def secret_name(reference: Any) -> str:
    """Return the name in any of the API's references to a Secret: volumes alone call it `secretName`."""
    return getattr(reference, "secret_name", None) or reference.name


def content(data: Mapping[str, str] | None, binary: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Return the contents of a ConfigMap's `data` and `binaryData`, or (as `binary`) of a Secret's `data`."""
    return {key: text.encode() for key, text in (data or {}).items()} | {
        key: base64.b64decode(text) for key, text in (binary or {}).items()
    }


def expand(text: str, lookup: Callable[[str], str | None]) -> str:
    """Replace `$(NAME)` by its value and `$$` by `$`; a name without value stays as it is."""

    def replacement(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        value = lookup(match[1])
        return match[0] if value is None else value

    return _REFERENCE.sub(replacement, text)


def environment(
    pod: V1Pod, container: V1Container, image: ImageConfig, objects: Objects, home_directory: str
) -> dict[str, str]:
    """Return the environment of `container`: the runtime's, the image's, the Services', the pod's, each over the last.

    `home_directory` is its user's. Raises ContainerConfigError.
    """
    services = service_links(pod, objects.services)
    variables: dict[str, str] = {}
    for source in container.env_from or []:
        for kind, found in (("secret", objects.secrets), ("configmap", objects.config_maps)):
            reference = source.secret_ref if kind == "secret" else source.config_map_ref
            if not reference:
                continue
            if reference.name not in found and not reference.optional:
                raise ContainerConfigError(f'{kind} "{reference.name}" not found')
            for key, value in found.get(reference.name, {}).items():
                variables[(source.prefix or "") + key] = value.decode(errors="replace")
    for variable in container.env or []:
        value = _value(pod, variable, objects, {**services, **variables})
        if value is not None:
            variables[variable.name] = value
    runtime = {"HOSTNAME": pod.spec.hostname or pod.metadata.name, "HOME": home_directory}
    return runtime | image.env | services | variables


def _value(pod: V1Pod, variable: V1EnvVar, objects: Objects, known: Mapping[str, str]) -> str | None:
    source = variable.value_from
    if not source:
        return expand(variable.value or "", known.get)
    if source.field_ref:
        return field_value(pod, source.field_ref)
    namespace = pod.metadata.namespace
    for kind, reference, found in (
        ("secret", source.secret_key_ref, objects.secrets),
        ("configmap", source.config_map_key_ref, objects.config_maps),
    ):
        if not reference:
            continue
        if reference.key in found.get(reference.name, {}):
            return found[reference.name][reference.key].decode(errors="replace")
        if reference.optional:
            return None
        if reference.name not in found:
            raise ContainerConfigError(f'{kind} "{reference.name}" not found')
        title = {"secret": "Secret", "configmap": "ConfigMap"}[kind]
        raise ContainerConfigError(f"couldn't find key {reference.key} in {title} {namespace}/{reference.name}")
    raise ContainerConfigError(f"environment variable {variable.name}: the sandbox's node does not know its valueFrom")


def field_value(pod: V1Pod, reference: V1ObjectFieldSelector) -> str:
    """Return the text of a downward API field. Raises ContainerConfigError if it is none."""
    path = reference.field_path
    if match := _SUBSCRIPT.match(path):
        return (getattr(pod.metadata, match[1]) or {}).get(match[2], "")
    status = pod.status
    fields: dict[str, Any] = {
        "metadata.name": pod.metadata.name,
        "metadata.namespace": pod.metadata.namespace,
        "metadata.uid": pod.metadata.uid,
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.hostIP": status.host_ip,
        "status.hostIPs": status.host_ip,
        "status.podIP": status.pod_ip,
        "status.podIPs": status.pod_ip,
    }
    for name in ("labels", "annotations"):
        pairs = sorted((getattr(pod.metadata, name) or {}).items())
        fields[f"metadata.{name}"] = "\n".join(f'{key}="{value}"' for key, value in pairs)
    if path not in fields:
        raise ContainerConfigError(f"unsupported fieldPath: {path}")
    return fields[path] or ""


def service_links(pod: V1Pod, services: Iterable[V1Service]) -> dict[str, str]:
    """Return the variables that the kubelet adds for `services`: the API server's always, others unless turned off."""
    variables: dict[str, str] = {}
    for service in sorted(services, key=lambda one: one.metadata.name):
        where = (service.metadata.namespace, service.metadata.name)
        linked = pod.spec.enable_service_links is not False and where[0] == pod.metadata.namespace
        if (where == ("default", "kubernetes") or linked) and service.spec.cluster_ip not in (None, "", "None"):
            variables.update(_service_variables(service))
    return variables


def _service_variables(service: V1Service) -> Iterator[tuple[str, str]]:
    prefix = service.metadata.name.upper().replace("-", "_")
    address, ports = service.spec.cluster_ip, service.spec.ports or []
    if not ports:
        return
    yield f"{prefix}_SERVICE_HOST", address
    yield f"{prefix}_SERVICE_PORT", str(ports[0].port)
    for port in ports:
        if port.name:
            yield f"{prefix}_SERVICE_PORT_{port.name.upper().replace('-', '_')}", str(port.port)
    for number, port in enumerate(ports):
        protocol = (port.protocol or "TCP").lower()
        url = f"{protocol}://{address}:{port.port}"
        if number == 0:
            yield f"{prefix}_PORT", url
        one = f"{prefix}_PORT_{port.port}_{protocol.upper()}"
        yield from ((one, url), (f"{one}_PROTO", protocol), (f"{one}_PORT", str(port.port)), (f"{one}_ADDR", address))


def command(container: V1Container, image: ImageConfig, variables: Mapping[str, str]) -> list[str]:
    """Return the command line: `command` replaces the image's entrypoint and cmd, `args` its cmd.

    Raises ContainerConfigError if there is none.
    """
    entrypoint = container.command or image.entrypoint
    arguments = container.args or ([] if container.command else image.cmd)
    given = bool(container.command), bool(container.args)
    line = [expand(one, variables.get) if given[0] else one for one in entrypoint]
    line += [expand(one, variables.get) if given[1] else one for one in arguments]
    if not line:
        raise ContainerConfigError("no command specified")
    return line


def user(pod: V1Pod, container: V1Container, image: ImageConfig) -> tuple[int, int]:
    """Return the user and group id of `container`. Raises ContainerConfigError if it is root and may not be."""
    settings = [context for context in (container.security_context, pod.spec.security_context) if context]

    def first(name: str) -> Any:
        return next((value for one in settings if (value := getattr(one, name)) is not None), None)

    asked = first("run_as_user")
    uid = image.user if asked is None else asked
    if first("run_as_non_root") and uid == 0:
        rule = (
            "container has runAsNonRoot and image will run as root"
            if asked is None
            else "container's runAsUser breaks non-root policy"
        )
        meta = pod.metadata
        raise ContainerConfigError(
            f'{rule} (pod: "{meta.name}_{meta.namespace}({meta.uid})", container: {container.name})'
        )
    return uid, first("run_as_group") or 0


def kept_capabilities(container: V1Container) -> frozenset[str]:
    """Return the names of the capabilities that `container` keeps of those that runtimes leave by default."""
    capabilities = container.security_context and container.security_context.capabilities
    drop, add = (capabilities.drop or [], capabilities.add or []) if capabilities else ([], [])
    kept = frozenset() if "ALL" in drop else frozenset(CAPABILITIES) - set(drop)
    return kept | frozenset(add)
