from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from sandbox.node.images import ImageNotFoundError, read_image
from sandbox.node.pulled_images import (
    IMAGE_CONFIGURATIONS,
    Credentials,
    NotAnImageError,
    PulledImages,
    PullError,
    image_from_layout,
    reason,
)
from sandbox.tools.pins import go_platform

SECRETS = Credentials(
    username="user", password="pass-word", auth="dXNlcjpwYXNz", identity_token="identity", registry_token="bearer"
)
DIGEST = "sha256:" + "a" * 64


def layout(directory: Path, config: dict[str, Any], kind: str = IMAGE_CONFIGURATIONS[0]) -> Path:
    """An OCI image layout with one image of one layer, which has /etc/passwd."""

    def blob(content: bytes, **more: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (directory / "blobs/sha256" / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content), **more}

    (directory / "blobs/sha256").mkdir(parents=True)
    layer, passwd = BytesIO(), b"app:x:7:8:App:/home/app:/bin/sh\n"
    with tarfile.open(fileobj=layer, mode="w") as archive:
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(passwd)
        archive.addfile(entry, BytesIO(passwd))
    described = blob(json.dumps(config).encode(), mediaType=kind)
    manifest = {"config": described, "layers": [blob(layer.getvalue())]}
    (directory / "index.json").write_text(json.dumps({"manifests": [blob(json.dumps(manifest).encode())]}))
    return directory


def test_an_image_says_itself_what_it_runs(tmp_path: Path) -> None:
    described = {
        "Entrypoint": ["/bin/app"],
        "Cmd": ["serve"],
        "Env": ["PATH=/bin", "OPTIONS=a=b"],
        "User": "app",
        "WorkingDir": "/work",
    }
    source = layout(tmp_path / "layout", {"config": described, "os": "linux", "architecture": ""})
    image_from_layout(source, tmp_path / "image", "host.test/app", DIGEST)
    image = read_image(tmp_path / "image")
    config = image.config
    assert (config.entrypoint, config.cmd, config.working_directory) == (["/bin/app"], ["serve"], "/work")
    assert config.env == {"PATH": "/bin", "OPTIONS": "a=b"}
    assert (config.user, config.group, config.user_name) == (7, 8, "app")
    assert image.image_id == f"host.test/app@{DIGEST}"
    assert config.size > (image.rootfs / "etc/passwd").stat().st_size


def test_an_image_that_says_nothing_is_run_by_root_in_the_root_directory(tmp_path: Path) -> None:
    image_from_layout(layout(tmp_path / "layout", {}), tmp_path / "image", "host.test/app", DIGEST)
    config = read_image(tmp_path / "image").config
    assert (config.entrypoint, config.cmd, config.env) == ([], [], {})
    assert (config.user, config.group, config.user_name, config.working_directory) == (0, 0, "", "/")


def test_a_number_is_no_name_of_a_user(tmp_path: Path) -> None:
    source = layout(tmp_path / "layout", {"config": {"User": "65532:65532"}})
    image_from_layout(source, tmp_path / "image", "host.test/app", DIGEST)
    config = read_image(tmp_path / "image").config
    assert (config.user, config.group, config.user_name) == (65532, 65532, "")


def test_an_image_for_another_machine_is_refused(tmp_path: Path) -> None:
    source = layout(tmp_path / "layout", {"os": "linux", "architecture": "s390x"})
    with pytest.raises(NotAnImageError, match=f"no match for platform {go_platform()} in manifest.*linux/s390x"):
        image_from_layout(source, tmp_path / "image", "host.test/app", DIGEST)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    kind = "application/vnd.cncf.helm.config.v1+json"
    with pytest.raises(NotAnImageError, match=r"its configuration is of type .*helm"):
        image_from_layout(layout(tmp_path / "layout", {}, kind), tmp_path / "image", "host.test/app", DIGEST)


@pytest.mark.parametrize(("host", "key"), [("host.test", "host.test"), ("docker.io", "https://index.docker.io/v1/")])
def test_credentials_are_written_as_docker_has_them(host: str, key: str) -> None:
    assert SECRETS.docker_config(host) == {
        "auths": {
            key: {
                "username": "user",
                "password": "pass-word",
                "auth": "dXNlcjpwYXNz",
                "identitytoken": "identity",
                "registrytoken": "bearer",
            }
        }
    }
    assert Credentials().docker_config(host) == {"auths": {}}


def test_nothing_secret_is_shown() -> None:
    secrets = ["pass-word", "dXNlcjpwYXNz", "identity", "bearer"]
    assert not [secret for secret in secrets if secret in repr(SECRETS)]
    assert SECRETS.redact("user: pass-word dXNlcjpwYXNz") == "user: REDACTED REDACTED"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "2026/01/01 warning\nError: GET https://h/v2/: UNAUTHORIZED: a\n",
            "GET https://h/v2/: UNAUTHORIZED: a",
        ),
        ("Error: one\nline\n", "one line"),
        ("panic", "panic"),
        ("", "crane failed and said nothing"),
        ("Error: " + "x" * 1000, "x" * 500 + "..."),
    ],
)
def test_of_a_failure_the_reason_alone_is_told(output: str, expected: str) -> None:
    assert reason(output) == expected


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a program that stands for crane."""

    def make(script: str) -> Path:
        path = tmp_path / "crane"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


def test_credentials_are_in_no_argument_and_in_a_private_file_that_goes(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()
    crane = program(
        f'cd {seen}; echo "$@" > arguments; env > environment; cat $DOCKER_CONFIG/config.json > config\n'
        "stat -c %a $DOCKER_CONFIG $DOCKER_CONFIG/config.json > modes; echo Error: denied pass-word >&2; exit 1"
    )
    environment = {"HTTPS_PROXY": "http://edge", "AWS_SECRET_ACCESS_KEY": "key"}
    images = PulledImages(tmp_path / "images", crane, environment)
    with pytest.raises(PullError) as raised:
        images.pull("host.test/app:1", SECRETS)
    assert str(raised.value) == "denied REDACTED"
    assert (seen / "arguments").read_text().split() == ["manifest", "--", "host.test/app:1"]
    assert json.loads((seen / "config").read_text())["auths"]["host.test"]["password"] == "pass-word"
    assert (seen / "modes").read_text().split() == ["700", "600"]
    given = dict(line.split("=", 1) for line in (seen / "environment").read_text().splitlines())
    assert given["HTTPS_PROXY"] == "http://edge"
    assert "AWS_SECRET_ACCESS_KEY" not in given
    assert not Path(given["DOCKER_CONFIG"]).exists()
    assert given["HOME"] == given["DOCKER_CONFIG"]  # where crane looks for credentials too


def test_a_registry_is_without_tls_only_if_a_file_of_its_host_says_so(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    hosts, crane = tmp_path / "certs.d", program('echo "Error: $@" >&2; exit 1')
    images = PulledImages(tmp_path / "images", crane, {}, hosts)
    (hosts / "plain.test").mkdir(parents=True)
    (hosts / "plain.test/hosts.toml").write_text('server = "http://plain.test"\n')
    (hosts / "tls.test").mkdir()
    (hosts / "tls.test/hosts.toml").write_text('server = "https://tls.test"\n')
    for host, options in (("plain.test", "--insecure "), ("tls.test", ""), ("other.test", "")):
        with pytest.raises(PullError, match=f"^{options}manifest -- {host}/app:1$"):
            images.pull(f"{host}/app:1")


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(PullError, match="nowhere: No such file or directory"):
        PulledImages(tmp_path / "images", tmp_path / "nowhere", {}).pull("host.test/app:1")


def test_what_a_killed_process_left_behind_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "images" / "arriving" / "one"
    left.mkdir(parents=True)
    (left / "config.json").write_text("secret")
    images = PulledImages(tmp_path / "images", tmp_path, {})
    assert not left.exists()
    assert images.all() == []
    assert (tmp_path / "images").stat().st_mode & 0o777 == 0o700


def test_an_image_that_was_not_pulled_is_not_found_and_can_be_removed(tmp_path: Path) -> None:
    images = PulledImages(tmp_path / "images", tmp_path, {})
    with pytest.raises(ImageNotFoundError, match=r"host\.test/app:1"):
        images.find("host.test/app:1")
    images.remove("host.test/app:1")
