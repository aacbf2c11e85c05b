"""What is started is what the pod asks for, and what its image says where the pod says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.layout import Layout
from sandbox.node.cri.container_spec import NoCommandError, container_spec, resolv_conf
from sandbox.node.cri.stubs import api_pb2 as cri
from sandbox.node.directories import NodeDirectories
from sandbox.node.image_user import UnknownUserError
from sandbox.node.images import CA_BUNDLE, Image, ImageConfig
from sandbox.node.runtime.container import CAPABILITIES, ContainerSpec, Mount

POD = cri.PodSandboxConfig(hostname="web", dns_config=cri.DNSConfig(servers=["172.20.0.10"]))
PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:2000::/home/app:/bin/sh\n"


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    config = ImageConfig(
        references=["app:1"],
        digest="sha256:" + "0" * 64,
        size=1,
        entrypoint=["app"],
        cmd=["serve"],
        env={"PATH": "/bin", "LEVEL": "info"},
        user=1000,
        group=2000,
        working_directory="/srv",
    )
    return Image(tmp_path, config)


def spec(image: Image, **config: Any) -> ContainerSpec:
    asked = cri.ContainerConfig(**config)
    directories = NodeDirectories(Layout())
    return container_spec(POD, "10.77.1.1", asked, image, directories=directories, authorities=Path("/ca.pem"))


def as_user(**security: Any) -> cri.LinuxContainerConfig:
    context = cri.LinuxContainerSecurityContext(**security)
    return cri.LinuxContainerConfig(security_context=context)


def test_a_pod_that_says_nothing_runs_what_its_image_says(image: Image) -> None:
    made = spec(image)
    assert (made.argv, made.directory, made.uid, made.gid) == (["app", "serve"], "/srv", 1000, 2000)
    assert made.environment == {"HOSTNAME": "web", "HOME": "/home/app", "PATH": "/bin", "LEVEL": "info"}
    assert (made.hostname, made.pod_ip, made.name_resolution) == ("web", "10.77.1.1", "nameserver 172.20.0.10\n")
    assert made.capabilities == frozenset(CAPABILITIES)
    assert not made.read_only
    assert not made.no_new_privileges


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"command": ["sh"]}, ["sh"]),
        ({"args": ["check"]}, ["app", "check"]),
        ({"command": ["sh"], "args": ["-c", "x"]}, ["sh", "-c", "x"]),
    ],
)
def test_a_command_replaces_the_entrypoint_and_arguments_the_images(
    image: Image, config: dict[str, list[str]], line: list[str]
) -> None:
    assert spec(image, **config).argv == line


def test_without_any_command_there_is_nothing_to_start(image: Image) -> None:
    image.config.entrypoint.clear()
    image.config.cmd.clear()
    with pytest.raises(NoCommandError, match="no command specified"):
        spec(image)


def test_the_pods_variables_and_directory_come_before_the_images(image: Image) -> None:
    made = spec(image, envs=[cri.KeyValue(key="LEVEL", value="warn")], working_dir="/tmp")
    assert (made.environment["LEVEL"], made.environment["PATH"], made.directory) == ("warn", "/bin", "/tmp")


@pytest.mark.parametrize(
    ("security", "user", "home"),
    [
        ({"run_as_user": cri.Int64Value(value=0)}, (0, 0), "/root"),
        ({"run_as_user": cri.Int64Value(value=65532)}, (65532, 0), "/"),
        ({"run_as_user": cri.Int64Value(value=1000)}, (1000, 2000), "/home/app"),
        ({"run_as_username": "app"}, (1000, 2000), "/home/app"),
        ({"run_as_user": cri.Int64Value(value=7), "run_as_group": cri.Int64Value(value=8)}, (7, 8), "/"),
        ({"run_as_group": cri.Int64Value(value=0)}, (1000, 0), "/home/app"),
    ],
    ids=str,
)
def test_the_user_is_the_pods_with_the_group_and_home_that_the_image_knows(
    image: Image, security: dict[str, Any], user: tuple[int, int], home: str
) -> None:
    made = spec(image, linux=as_user(**security))
    assert ((made.uid, made.gid), made.environment["HOME"]) == (user, home)


def test_a_user_whom_the_image_does_not_name_is_an_error(image: Image) -> None:
    with pytest.raises(UnknownUserError, match="unable to find user eve"):
        spec(image, linux=as_user(run_as_username="eve"))


def test_privileges_are_limited_as_asked(image: Image) -> None:
    capabilities = cri.Capability(drop_capabilities=["ALL"], add_capabilities=["CHOWN"])
    made = spec(image, linux=as_user(capabilities=capabilities, readonly_rootfs=True, no_new_privs=True))
    assert (made.capabilities, made.read_only, made.no_new_privileges) == (frozenset({"CHOWN"}), True, True)


def test_the_kubelets_paths_are_mounted_from_where_they_are_outside_in_the_order_of_depth(image: Image) -> None:
    root = NodeDirectories(Layout()).kubelet
    mounts = [
        cri.Mount(host_path="/var/lib/kubelet/pods/u/b", container_path="/data/inner", readonly=True),
        cri.Mount(host_path="/var/lib/kubelet/pods/u/a", container_path="/data"),
    ]
    assert spec(image, mounts=mounts).mounts == [
        Mount(Path("/ca.pem"), CA_BUNDLE, True),
        Mount(root / "pods/u/a", "/data", False),
        Mount(root / "pods/u/b", "/data/inner", True),
    ]


def test_the_resolver_is_told_what_the_pods_dns_policy_says() -> None:
    config = cri.DNSConfig(servers=["192.0.2.1", "192.0.2.2"], searches=["a.test", "b.test"], options=["ndots:5"])
    text = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch a.test b.test\noptions ndots:5\n"
    assert resolv_conf(config) == text
