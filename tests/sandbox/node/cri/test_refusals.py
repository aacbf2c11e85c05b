"""What the node can't keep is refused by its name in the pod's spec, and nothing else is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from sandbox.layout import Layout
from sandbox.node.cri.refusals import refusal, refused_of_container, refused_of_pod
from sandbox.node.cri.stubs import api_pb2 as cri
from sandbox.node.directories import NodeDirectories

UID = "0f5d3a34-6a2b-4b7e-8b8e-5a3f3f0a7c11"
LOCAL_PROFILE = cri.SecurityProfile(profile_type=cri.SecurityProfile.Localhost, localhost_ref="own.json")
VOLUMES = f"/var/lib/kubelet/pods/{UID}/volumes/kubernetes.io~empty-dir"


@pytest.fixture
def directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeDirectories:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = NodeDirectories(Layout())
    found.make()
    return found


def pod_config(modes: Mapping[str, Any] = MappingProxyType({}), **config: Any) -> cri.PodSandboxConfig:
    options = cri.NamespaceOption(**{"pid": cri.CONTAINER, **modes})
    linux = cri.LinuxPodSandboxConfig(
        security_context=cri.LinuxSandboxSecurityContext(namespace_options=options), sysctls=config.pop("sysctls", None)
    )
    return cri.PodSandboxConfig(linux=linux, **config)


def container(security: Mapping[str, Any] = MappingProxyType({}), **config: Any) -> cri.ContainerConfig:
    options = {"namespace_options": cri.NamespaceOption(pid=cri.CONTAINER), **security}
    context = cri.LinuxContainerSecurityContext(**options)
    return cri.ContainerConfig(linux=cri.LinuxContainerConfig(security_context=context), **config)


def mounted(path: str, **mount: Any) -> cri.ContainerConfig:
    return container(mounts=[cri.Mount(host_path=path, container_path="/m", **mount)])


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (pod_config({"network": cri.NODE}), "hostNetwork"),
        (pod_config({"pid": cri.NODE}), "hostPID"),
        (pod_config({"ipc": cri.NODE}), "hostIPC"),
        (pod_config({"pid": cri.POD}), "shareProcessNamespace"),
        (
            pod_config(port_mappings=[cri.PortMapping(container_port=80, host_port=8080)]),
            "hostPort 8080",
        ),
        (
            pod_config(port_mappings=[cri.PortMapping(container_port=53, protocol=cri.UDP)]),
            "containerPort 53: UDP (supported: TCP)",
        ),
        (
            pod_config(sysctls={"net.core.somaxconn": "1"}),
            "sysctl net.core.somaxconn=1",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "asks",
)
def test_what_a_pod_can_not_have_is_named(config: cri.PodSandboxConfig, reason: str) -> None:
    assert refused_of_pod(config) == [reason]


def test_a_pod_as_most_are_is_not_refused() -> None:
    config = pod_config()
    config.port_mappings.append(cri.PortMapping(container_port=5000))
    config.linux.security_context.seccomp.profile_type = cri.SecurityProfile.RuntimeDefault
    assert refused_of_pod(config) == []


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (container({"privileged": True}), "privileged"),
        (container({"namespace_options": cri.NamespaceOption(pid=cri.NODE)}), "hostPID"),
        (container({"namespace_options": cri.NamespaceOption(pid=cri.TARGET)}), "targetContainerName"),
        (
            container({"seccomp": LOCAL_PROFILE}),
            "seccompProfile own.json",
        ),
        (container({"selinux_options": cri.SELinuxOption(level="s0")}), "seLinuxOptions"),
        (container(tty=True), "tty"),
        (container(stdin=True), "stdin"),
        (container(devices=[cri.Device(host_path="/dev/kvm")]), "devices"),
        (mounted("/etc"), "hostPath /etc at /m"),
        (mounted("/var/lib/kubelet/pods/another/volumes"), "hostPath /var/lib/kubelet/pods/another/volumes at /m"),
        (mounted(f"{VOLUMES}/../../../../kubeconfig"), f"hostPath {VOLUMES}/../../../../kubeconfig at /m"),
        (mounted("", image=cri.ImageSpec(image="app:1")), "image volume app:1 at /m"),
        (
            mounted(VOLUMES, propagation=cri.PROPAGATION_BIDIRECTIONAL),
            "mountPropagation BIDIRECTIONAL at /m",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "asks",
)
def test_what_a_container_can_not_have_is_named(
    config: cri.ContainerConfig, reason: str, directories: NodeDirectories
) -> None:
    assert refused_of_container(config, UID, directories) == [reason]


def test_a_capability_that_containers_do_not_have_by_default_is_named(directories: NodeDirectories) -> None:
    config = container({"capabilities": cri.Capability(add_capabilities=["CHOWN", "SYS_ADMIN"])})
    (reason,) = refused_of_container(config, UID, directories)
    assert reason.startswith("capability SYS_ADMIN (supported: CHOWN, ")


def test_what_the_kubelet_made_for_the_pod_may_be_mounted(directories: NodeDirectories) -> None:
    assert refused_of_container(mounted(f"{VOLUMES}/data"), UID, directories) == []


def test_a_link_out_of_the_pods_directory_is_a_host_path(directories: NodeDirectories) -> None:
    directories.pod(UID).mkdir(parents=True)
    (directories.pod(UID) / "link").symlink_to("/etc")
    path = f"/var/lib/kubelet/pods/{UID}/link"
    assert refused_of_container(mounted(path), UID, directories) == [f"hostPath {path} at /m"]


def test_all_reasons_are_told_together() -> None:
    config = pod_config({"network": cri.NODE, "ipc": cri.NODE})
    assert refusal(refused_of_pod(config)) == "the sandbox's node can't honour: hostNetwork; hostIPC"
