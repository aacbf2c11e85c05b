"""What this runtime can't keep of what a pod asks for; pure. It is refused by its name in the pod's spec."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sandbox.node.cri.stubs import api_pb2 as cri
from sandbox.node.directories import ForeignPathError, NodeDirectories
from sandbox.node.runtime.container import CAPABILITIES


def refusal(reasons: list[str]) -> str:
    """Return the message of an error for `reasons`."""
    return f"the sandbox's node can't honour: {'; '.join(reasons)}"


def refused_of_pod(config: cri.PodSandboxConfig) -> list[str]:
    """Return what a pod asks for in vain, without its containers."""
    return list(_of_pod(config))


def _of_pod(config: cri.PodSandboxConfig) -> Iterator[str]:
    security = config.linux.security_context
    yield from _of_namespaces(security.namespace_options)
    yield from _of_profiles(security)
    for name, value in sorted(config.linux.sysctls.items()):
        yield f"sysctl {name}={value}"
    for port in config.port_mappings:
        if port.host_port:
            yield f"hostPort {port.host_port}"
        if port.protocol != cri.TCP:
            yield f"containerPort {port.container_port}: {cri.Protocol.Name(port.protocol)} (supported: TCP)"


def refused_of_container(config: cri.ContainerConfig, pod_uid: str, directories: NodeDirectories) -> list[str]:
    """Return what a container of the pod `pod_uid` asks for in vain."""
    return list(_of_container(config, pod_uid, directories))


def _of_container(config: cri.ContainerConfig, pod_uid: str, directories: NodeDirectories) -> Iterator[str]:
    security = config.linux.security_context
    if security.privileged:
        yield "privileged"
    yield from _of_namespaces(security.namespace_options)
    yield from _of_profiles(security)
    for name in security.capabilities.add_capabilities:
        if name not in CAPABILITIES:
            yield f"capability {name} (supported: {', '.join(CAPABILITIES)})"
    for asked, name in ((config.tty, "tty"), (config.stdin, "stdin"), (config.devices, "devices")):
        if asked:
            yield name
    for mount in config.mounts:
        if mount.image.image:
            yield f"image volume {mount.image.image} at {mount.container_path}"
        elif not _is_the_kubelets(mount.host_path, directories.pod(pod_uid), directories):
            yield f"hostPath {mount.host_path} at {mount.container_path}"
        if mount.propagation != cri.PROPAGATION_PRIVATE:
            propagation = cri.MountPropagation.Name(mount.propagation).removeprefix("PROPAGATION_")
            yield f"mountPropagation {propagation} at {mount.container_path}"


def _of_namespaces(options: cri.NamespaceOption) -> Iterator[str]:
    for mode, name in ((options.network, "hostNetwork"), (options.pid, "hostPID"), (options.ipc, "hostIPC")):
        if mode == cri.NODE:
            yield name
    if options.pid == cri.POD:
        yield "shareProcessNamespace"
    if options.pid == cri.TARGET:
        yield "targetContainerName"


def _of_profiles(security: cri.LinuxSandboxSecurityContext | cri.LinuxContainerSecurityContext) -> Iterator[str]:
    for profile, name in ((security.seccomp, "seccompProfile"), (security.apparmor, "appArmorProfile")):
        if profile.profile_type == cri.SecurityProfile.Localhost:
            yield f"{name} {profile.localhost_ref}"
    if security.HasField("selinux_options"):
        yield "seLinuxOptions"


def _is_the_kubelets(path: str, pod: Path, directories: NodeDirectories) -> bool:
    """Whether the kubelet made the path for this pod: any other is what a hostPath volume names."""
    try:
        outside = directories.outside(path)
    except ForeignPathError:
        return False
    return Path(os.path.realpath(outside)).is_relative_to(os.path.realpath(pod))
