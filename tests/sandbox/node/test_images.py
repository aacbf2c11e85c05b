from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.node.images import Image, ImageNotFoundError, Images, InvalidImageNameError, familiar, make_registry_image

DIGEST = "sha256:" + "a1" * 32
OTHER_DIGEST = "sha256:" + "b2" * 32


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "registry").write_text("#!binary")
    (tmp_path / "config-dev.yml").write_text("version: 0.1\n")
    return make_registry_image(
        tmp_path / "images" / "registry-3.1.1",
        binary=tmp_path / "registry",
        config_file=tmp_path / "config-dev.yml",
        config_path="/etc/distribution/config.yml",
        references=["registry:3.1.1"],
        digest=DIGEST,
    )


@pytest.fixture
def images(image: Image) -> Images:
    return Images(image.rootfs.parents[1])


@pytest.mark.parametrize(
    "reference",
    [
        "registry:3.1.1",
        f"registry:3.1.1@{DIGEST}",
        f"registry@{DIGEST}",
        "library/registry:3.1.1",
        "docker.io/library/registry:3.1.1",
        f"index.docker.io/library/registry:3.1.1@{DIGEST}",
    ],
)
def test_an_image_is_found_by_every_form_of_its_name(images: Images, image: Image, reference: str) -> None:
    assert images.find(reference) == image


@pytest.mark.parametrize(
    "reference",
    [
        "registry:2.2.1",
        "registry",
        f"registry:3.1.1@{OTHER_DIGEST}",
        f"registry@{OTHER_DIGEST}",
        "example.test/registry:3.1.1",
        f"nginx:3.1.1@{DIGEST}",
    ],
)
def test_another_name_tag_or_digest_is_not_found_and_the_error_names_what_is_here(
    images: Images, reference: str
) -> None:
    with pytest.raises(ImageNotFoundError) as raised:
        images.find(reference)
    assert f'"{reference}"' in str(raised.value)
    assert f"registry:3.1.1@{DIGEST}" in str(raised.value)


@pytest.mark.parametrize("reference", ["", "Registry:3", "registry:3@sha256:12", "registry:", " registry:3"])
def test_what_is_no_reference_is_refused_as_such(images: Images, reference: str) -> None:
    with pytest.raises(InvalidImageNameError, match="invalid reference format"):
        images.find(reference)


def test_a_reference_without_tag_and_digest_means_latest() -> None:
    assert familiar("docker.io/library/registry") == ("registry:latest", None)


def test_a_registry_with_a_port_is_no_tag() -> None:
    assert familiar("localhost:5000/registry:3") == ("localhost:5000/registry:3", None)


def test_the_registrys_image_is_that_of_its_dockerfile(image: Image) -> None:
    assert image.config.entrypoint == ["registry"]
    assert image.config.cmd == ["serve", "/etc/distribution/config.yml"]
    assert image.config.env["OTEL_TRACES_EXPORTER"] == "none"
    assert (image.rootfs / "etc/distribution/config.yml").read_text() == "version: 0.1\n"
    assert (image.rootfs / "bin/registry").stat().st_mode & 0o777 == 0o755
    assert (image.rootfs / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert image.image_id == f"docker.io/library/registry@{DIGEST}"


def test_an_image_is_made_anew_in_place_of_an_older_one(image: Image, tmp_path: Path) -> None:
    (image.rootfs / "left").touch()
    (tmp_path / "registry").write_text("#!newer")
    make_registry_image(
        image.rootfs.parent,
        binary=tmp_path / "registry",
        config_file=tmp_path / "config-dev.yml",
        config_path="/etc/distribution/config.yml",
        references=["registry:3.1.1"],
        digest=DIGEST,
    )
    assert (image.rootfs / "bin/registry").read_text() == "#!newer"
    assert not (image.rootfs / "left").exists()


def test_a_reference_with_a_digest_can_not_name_an_image_that_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name:tag"):
        make_registry_image(
            tmp_path / "image",
            binary=tmp_path,
            config_file=tmp_path,
            config_path="/c",
            references=[f"registry:3@{DIGEST}"],
            digest=DIGEST,
        )


def test_an_image_whose_description_is_not_one_is_named_in_the_error(images: Images, image: Image) -> None:
    file = image.rootfs.parent / "image.json"
    file.write_text(json.dumps({"references": []}))
    with pytest.raises(ValueError, match=str(file)):
        images.find("registry:3.1.1")
