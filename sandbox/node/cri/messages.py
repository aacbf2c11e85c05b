"""From pod sandboxes and containers to the messages that tell the kubelet of them; pure."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.node.cri.containers import PodSandbox, RuntimeContainer
from sandbox.node.cri.stubs import api_pb2 as cri


def is_sandbox_asked_for(sandbox: PodSandbox, wanted: cri.PodSandboxFilter) -> bool:
    """Whether a list with the filter `wanted` has `sandbox`."""
    return (
        sandbox.id.startswith(wanted.id)
        and (not wanted.HasField("state") or wanted.state.state == sandbox.state)
        and _has_labels(sandbox.config.labels, wanted.label_selector)
    )


def is_container_asked_for(container: RuntimeContainer, wanted: cri.ContainerFilter) -> bool:
    """Whether a list with the filter `wanted` has `container`."""
    return (
        container.id.startswith(wanted.id)
        and wanted.pod_sandbox_id in ("", container.sandbox.id)
        and (not wanted.HasField("state") or wanted.state.state == container.state)
        and _has_labels(container.config.labels, wanted.label_selector)
    )


def _has_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())


def listed_sandbox(sandbox: PodSandbox) -> cri.PodSandbox:
    """Return the entry of a list."""
    return cri.PodSandbox(
        id=sandbox.id,
        metadata=sandbox.config.metadata,
        state=sandbox.state,
        created_at=sandbox.created_at,
        labels=sandbox.config.labels,
        annotations=sandbox.config.annotations,
    )


def sandbox_status(sandbox: PodSandbox) -> cri.PodSandboxStatus:
    """Return all that the kubelet is told of a pod sandbox."""
    options = sandbox.config.linux.security_context.namespace_options
    return cri.PodSandboxStatus(
        id=sandbox.id,
        metadata=sandbox.config.metadata,
        state=sandbox.state,
        created_at=sandbox.created_at,
        network=cri.PodSandboxNetworkStatus(ip=sandbox.ip),
        linux=cri.LinuxPodSandboxStatus(namespaces=cri.Namespace(options=options)),
        labels=sandbox.config.labels,
        annotations=sandbox.config.annotations,
    )


def listed_container(container: RuntimeContainer) -> cri.Container:
    """Return the entry of a list."""
    return cri.Container(
        id=container.id,
        pod_sandbox_id=container.sandbox.id,
        metadata=container.config.metadata,
        image=container.config.image,
        image_ref=container.image.image_id,
        image_id=container.image.image_id,
        state=container.state,
        created_at=container.created_at,
        labels=container.config.labels,
        annotations=container.config.annotations,
    )


def container_status(container: RuntimeContainer) -> cri.ContainerStatus:
    """Return all that the kubelet is told of a container."""
    return cri.ContainerStatus(
        id=container.id,
        metadata=container.config.metadata,
        state=container.state,
        created_at=container.created_at,
        started_at=container.started_at,
        finished_at=container.finished_at,
        exit_code=container.exit_code,
        reason=container.reason,
        message=container.message,
        image=cri.ImageSpec(image=container.config.image.user_specified_image or container.config.image.image),
        image_ref=container.image.image_id,
        image_id=container.image.image_id,
        labels=container.config.labels,
        annotations=container.config.annotations,
        mounts=container.config.mounts,
        log_path=log_path(container),
    )


def log_path(container: RuntimeContainer) -> str:
    """Return where the kubelet wants the container's log."""
    return f"{container.sandbox.config.log_directory}/{container.config.log_path}"
