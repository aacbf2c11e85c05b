"""Pulls from a real registry with users, over TLS."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.layout import Layout
from sandbox.node.images import Image, ImageNotFoundError
from sandbox.node.pulled_images import Credentials, PulledImages, PullError
from sandbox.tools.build import Toolchain
from sandbox.tools.pins import go_platform
from tests import networks
from tests.end_to_end.images import push, push_program
from tests.sandbox.edge.world import CA, HOST, HTTPS, World
from tests.sandbox.node.served_registry import ALICE, EVE, Registry
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def registry(tools: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    made = Registry(Layout(name="pulls", network=networks.PULLS), tools, tmp_path_factory.mktemp("registry"))
    yield made
    made.stop()


@pytest.fixture
def images(registry: Registry, tmp_path: Path) -> PulledImages:
    return PulledImages(tmp_path / "images", registry.tools.binaries / "crane", registry.environment)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """What stands for a program: nothing here runs it."""
    path = tmp_path / "program"
    path.write_bytes(os.urandom(1000))
    return path


def test_an_image_is_pulled_by_its_tag_with_what_it_is_to_run(
    registry: Registry, images: PulledImages, program: Path, tmp_path: Path
) -> None:
    name = f"{registry.host}/team/app:1"
    options = ("--cmd", "serve", "--env", "A=b=c", "--user", "65532:7", "--workdir", "/work")
    digest = push_program(registry.crane, name, tmp_path, program, *options)
    image = images.pull(name, ALICE)
    config = image.config
    assert (image.rootfs / "bin/program").read_bytes() == program.read_bytes()
    assert (image.rootfs / "bin/program").stat().st_mode & 0o777 == 0o755
    assert (config.entrypoint, config.cmd, config.env) == (["/bin/program"], ["serve"], {"A": "b=c"})
    assert (config.user, config.group, config.working_directory) == (65532, 7, "/work")
    assert (image.image_id, image.repo_tags) == (f"{registry.host}/team/app@{digest}", [name])
    assert images.find(name) == images.find(image.image_id) == image
    assert list((tmp_path / "images/arriving").iterdir()) == []


def test_an_image_is_pulled_by_its_digest(registry: Registry, images: PulledImages, tmp_path: Path) -> None:
    digest = push(registry.crane, f"{registry.host}/by-digest:1", tmp_path)
    image = images.pull(f"{registry.host}/by-digest@{digest}", ALICE)
    assert (image.repo_digests, image.repo_tags) == ([f"{registry.host}/by-digest@{digest}"], [])
    with pytest.raises(ImageNotFoundError):
        images.find(f"{registry.host}/by-digest:1")
    assert images.pull(f"{registry.host}/by-digest:1", ALICE).repo_tags == [f"{registry.host}/by-digest:1"]
    assert len(images.all()) == 1


def test_of_an_index_the_image_for_this_machine_is_taken(
    registry: Registry, images: PulledImages, program: Path, tmp_path: Path
) -> None:
    crane, repository = registry.crane, f"{registry.host}/several"
    other = "linux/s390x"
    push(crane, f"{repository}:other", tmp_path)
    crane("mutate", f"{repository}:other", "--tag", f"{repository}:other", "--set-platform", other)
    push_program(crane, f"{repository}:own", tmp_path, program)
    manifests = ("-m", f"{repository}:other", "-m", f"{repository}:own")
    crane("index", "append", *manifests, "-t", f"{repository}:1")
    image = images.pull(f"{repository}:1", ALICE)
    assert (image.rootfs / "bin/program").exists()
    assert image.config.digest == crane("digest", f"{repository}:1")
    crane("index", "append", *manifests[:2], "-t", f"{repository}:foreign")
    with pytest.raises(PullError, match=f"no child with platform {go_platform()}"):
        images.pull(f"{repository}:foreign", ALICE)
    with pytest.raises(PullError, match=f"several.*no match for platform {go_platform()} .* is for {other}"):
        images.pull(f"{repository}:other", ALICE)


def test_a_tag_that_moves_leaves_the_former_image_without_it(
    registry: Registry, images: PulledImages, tmp_path: Path
) -> None:
    name = f"{registry.host}/moving:1"
    push(registry.crane, name, tmp_path)
    former = images.pull(name, ALICE)
    digest = push(registry.crane, name, tmp_path)
    assert images.find(name) == former
    latter = images.pull(name, ALICE)
    assert latter.config.digest == digest
    assert images.find(name) == latter
    assert images.find(former.image_id).repo_tags == []
    assert former.rootfs.exists()


REFUSED = {
    "no secret": ("failing:1", Credentials(), "UNAUTHORIZED: authentication required"),
    "wrong secret": ("failing:1", EVE, "UNAUTHORIZED: authentication required"),
    "no such tag": ("failing:2", ALICE, "MANIFEST_UNKNOWN: manifest unknown"),
    "no such repository": ("nothing:1", ALICE, "MANIFEST_UNKNOWN: manifest unknown"),
    "no such digest": (f"failing@sha256:{'0' * 64}", ALICE, "MANIFEST_UNKNOWN: manifest unknown"),
}
"""The image's name, who asks for it, and what the registry says."""


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_registry_refuses_is_told_in_its_words_without_secrets(
    registry: Registry, images: PulledImages, tmp_path: Path, case: str
) -> None:
    name, credentials, cause = REFUSED[case]
    push(registry.crane, f"{registry.host}/failing:1", tmp_path)
    with pytest.raises(PullError, match=cause) as raised:
        images.pull(f"{registry.host}/{name}", credentials)
    text = str(raised.value)
    assert f"{registry.host}/v2/" in text
    assert "horse" not in text
    assert "\n" not in text
    assert images.all() == []


def test_an_image_that_is_here_is_not_given_to_who_may_not_pull_it(
    registry: Registry, images: PulledImages, tmp_path: Path
) -> None:
    name = f"{registry.host}/private:1"
    push(registry.crane, name, tmp_path)
    images.pull(name, ALICE)
    with pytest.raises(PullError, match="UNAUTHORIZED"):
        images.pull(name, EVE)


def test_what_can_not_be_reached_is_told_and_works_when_it_can(
    registry: Registry, images: PulledImages, tmp_path: Path
) -> None:
    name = f"{registry.host}/later:1"
    digest = push(registry.crane, name, tmp_path)
    registry.stop()
    try:
        with pytest.raises(PullError, match=f"{registry.host}: connect: connection refused"):
            images.pull(name, ALICE)
    finally:
        registry.start()
    assert images.pull(name, ALICE).config.digest == digest
    with pytest.raises(PullError, match=r"proxyconnect tcp: dial tcp .*: connect: connection refused"):
        images.pull("no.such.host.test/app:1", ALICE)


@pytest.mark.asyncio
async def test_what_is_missing_on_the_way_through_the_edge_is_named(
    world: World, tools: Toolchain, tmp_path: Path
) -> None:
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    environment = {"HTTPS_PROXY": world.url, "SSL_CERT_FILE": str(tmp_path / "ca.pem")}
    images = PulledImages(tmp_path / "images", tools.binaries / "crane", environment)
    with pytest.raises(PullError, match=f"no A record for {HOST} in hosted zone"):
        await asyncio.to_thread(images.pull, f"{HOST}/app:1", ALICE)
    world.route(HTTPS)
    with pytest.raises(PullError, match=f"https://{HOST}/v2/: unexpected status code 502 Bad Gateway"):
        await asyncio.to_thread(images.pull, f"{HOST}/app:1", ALICE)


def test_a_certificate_of_nobody_known_is_refused(registry: Registry, tmp_path: Path) -> None:
    push(registry.crane, f"{registry.host}/trusted:1", tmp_path)
    environment = registry.environment | {"SSL_CERT_FILE": os.devnull}
    stranger = PulledImages(tmp_path / "images", registry.tools.binaries / "crane", environment)
    with pytest.raises(PullError, match="certificate signed by unknown authority"):
        stranger.pull(f"{registry.host}/trusted:1", ALICE)


def test_a_layer_that_is_not_what_its_digest_says_is_refused(
    registry: Registry, images: PulledImages, tmp_path: Path
) -> None:
    name = f"{registry.host}/altered:1"
    push(registry.crane, name, tmp_path)
    layer = registry.blob(registry.crane("manifest", name).rpartition('"digest":"')[2].partition('"')[0])
    content = layer.read_bytes()
    layer.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(PullError, match="error verifying sha256 checksum"):
        images.pull(name, ALICE)
    layer.write_bytes(content)
    assert images.pull(name, ALICE).repo_tags == [name]


def test_several_threads_fetch_an_image_once(registry: Registry, images: PulledImages, tmp_path: Path) -> None:
    names = [f"{registry.host}/shared:{number}" for number in range(4)]
    push(registry.crane, names[0], tmp_path)
    for name in names[1:]:
        registry.crane("tag", names[0], name.rpartition(":")[2])
    before = registry.log.read_text()
    together = threading.Barrier(len(names))

    def pull(name: str) -> Image:
        together.wait(PATIENCE_SECONDS)
        return images.pull(name, ALICE)

    with ThreadPoolExecutor(len(names)) as threads:
        pulled = list(threads.map(pull, names))
    assert len({image.rootfs for image in pulled}) == 1
    (image,) = images.all()
    assert sorted(image.repo_tags) == names
    layer = registry.crane("manifest", names[0]).rpartition('"digest":"')[2].partition('"')[0]
    requests = registry.log.read_text().removeprefix(before).count(f'"GET /v2/shared/blobs/{layer} ')
    assert requests == 1


def test_an_image_stays_when_the_node_starts_again_until_it_is_removed(
    registry: Registry, images: PulledImages, tmp_path: Path
) -> None:
    name = f"{registry.host}/kept:1"
    push(registry.crane, name, tmp_path)
    image = images.pull(name, ALICE)
    again = PulledImages(tmp_path / "images", registry.tools.binaries / "crane", registry.environment)
    assert again.all() == [image]
    again.remove(image.image_id)
    assert not image.rootfs.exists()
    assert again.all() == []
    assert again.pull(name, ALICE) == image
