"""From what the kubelet asks of a container, and its image, to what the runtime starts."""

from __future__ import annotations

from pathlib import Path

from sandbox.node.cri.stubs import api_pb2 as cri
from sandbox.node.directories import NodeDirectories
from sandbox.node.image_user import home, user_and_group
from sandbox.node.images import CA_BUNDLE, Image
from sandbox.node.runtime.container import CAPABILITIES, ContainerSpec, Mount


class NoCommandError(ValueError):
    """Neither the pod nor the image names a command."""


def container_spec(
    pod: cri.PodSandboxConfig,
    pod_ip: str,
    config: cri.ContainerConfig,
    image: Image,
    *,
    directories: NodeDirectories,
    authorities: Path,
) -> ContainerSpec:
    """Return what to start; `authorities` are the certificates that it trusts, mounted over its image's.

    Raises NoCommandError, UnknownUserError.
    """
    security = config.linux.security_context
    uid, gid = container_user(image, security)
    mounts = [
        Mount(directories.outside(mount.host_path), mount.container_path, mount.readonly)
        for mount in sorted(config.mounts, key=lambda one: one.container_path)
    ]
    variables = {"HOSTNAME": pod.hostname, "HOME": home(image.rootfs, uid)} | image.config.env
    return ContainerSpec(
        image=image.rootfs,
        argv=command(config, image),
        environment=variables | {variable.key: variable.value for variable in config.envs},
        hostname=pod.hostname,
        pod_ip=pod_ip,
        name_resolution=resolv_conf(pod.dns_config),
        directory=config.working_dir or image.config.working_directory,
        uid=uid,
        gid=gid,
        read_only=security.readonly_rootfs,
        no_new_privileges=security.no_new_privs,
        capabilities=kept_capabilities(security.capabilities),
        mounts=[Mount(authorities, CA_BUNDLE, read_only=True), *mounts],
    )


def command(config: cri.ContainerConfig, image: Image) -> list[str]:
    """Return the command line: `command` replaces the image's entrypoint and cmd, `args` its cmd.

    Raises NoCommandError.
    """
    arguments = config.args or ([] if config.command else image.config.cmd)
    line = [*(config.command or image.config.entrypoint), *arguments]
    if not line:
        raise NoCommandError("no command specified")
    return line


def container_user(image: Image, security: cri.LinuxContainerSecurityContext) -> tuple[int, int]:
    """Return user and group id of the container: the pod's, else the image's. Raises UnknownUserError."""
    uid, gid = image.config.user, image.config.group
    if security.HasField("run_as_user"):
        uid, gid = user_and_group(image.rootfs, str(security.run_as_user.value))
    elif security.run_as_username:
        uid, gid = user_and_group(image.rootfs, security.run_as_username)
    return uid, security.run_as_group.value if security.HasField("run_as_group") else gid


def kept_capabilities(asked: cri.Capability) -> frozenset[str]:
    """Return the names of the capabilities that the container keeps of those that runtimes leave by default."""
    kept = frozenset() if "ALL" in asked.drop_capabilities else frozenset(CAPABILITIES) - set(asked.drop_capabilities)
    return kept | frozenset(asked.add_capabilities)


def resolv_conf(config: cri.DNSConfig) -> str:
    """Return the container's /etc/resolv.conf."""
    lines = [f"nameserver {server}" for server in config.servers]
    lines += [f"search {' '.join(config.searches)}"] if config.searches else []
    lines += [f"options {' '.join(config.options)}"] if config.options else []
    return "".join(f"{line}\n" for line in lines)
