"""The node's images: directories made from a release's own binary and files, found by the name that a pod gives.

An image is a directory with `rootfs/` (its root filesystem) and `image.json`, an object of the fields of `ImageConfig`.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT_DIRECTORIES = ("bin", "dev", "etc/ssl/certs", "proc", "root", "sys", "tmp", "var/lib/registry")
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""Where the image (Alpine's package ca-certificates) keeps the authorities that its processes trust."""

_REFERENCE = re.compile(
    r"(?P<name>(?:[\w.-]+(?::\d+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_DEFAULT_PREFIXES = ("docker.io/library/", "index.docker.io/library/", "docker.io/", "library/")


class InvalidImageNameError(ValueError):
    """Not an image reference."""


class ImageNotFoundError(LookupError):
    """No image of that name and digest is here."""


@dataclass(frozen=True)
class ImageConfig:
    """What a container is started with unless its pod says otherwise: the OCI image's configuration."""

    references: list[str]
    """By which pods may call it, without the default registry: `name:tag`, and `name` where a digest must follow."""
    digest: str
    """`sha256:` and 64 hexadecimal digits: of what the registry has, or the published image that this one stands for.
    """
    size: int
    """Bytes of its layers as a registry has them, or of its files if there are none."""
    entrypoint: list[str]
    cmd: list[str]
    env: dict[str, str]
    user: int
    group: int = 0
    user_name: str = ""
    """How the image names its user, if by name: Kubernetes can't tell whether that is root."""
    working_directory: str = "/"


@dataclass(frozen=True)
class Image:
    """An image on this node."""

    rootfs: Path
    config: ImageConfig

    @property
    def image_id(self) -> str:
        """`name@digest`, as container runtimes report it."""
        return self.repo_digests[0]

    @property
    def repo_digests(self) -> list[str]:
        """`name@digest` of each name that it has, in full."""
        names = dict.fromkeys(repository(reference) for reference in self.config.references)
        return [f"{full_name(name)}@{self.config.digest}" for name in names]

    @property
    def repo_tags(self) -> list[str]:
        """`name:tag` of each tag that it has, in full."""
        return [full_name(reference) for reference in self.config.references if reference != repository(reference)]

    def is_called(self, name: str, digest: str | None) -> bool:
        """Whether a reference (see `familiar`) means this image: a digest decides, whatever the tag."""
        if digest:
            names = [repository(known) for known in self.config.references]
            return digest == self.config.digest and repository(name) in names
        return name in self.config.references


def familiar(reference: str) -> tuple[str, str | None]:
    """Split an image reference into its short form `name:tag` and its digest.

    The tag is `latest` if there is neither tag nor digest, and left out if there is only a digest.
    Raises InvalidImageNameError.
    """
    match = _REFERENCE.fullmatch(reference)
    if not match:
        raise InvalidImageNameError(f'Failed to apply default image tag "{reference}": invalid reference format')
    name, tag, digest = match["name"], match["tag"], match["digest"]
    for prefix in _DEFAULT_PREFIXES:
        name = name.removeprefix(prefix)
    return (f"{name}:{tag or 'latest'}" if tag or not digest else name), digest


def repository(name: str) -> str:
    """Return the short form `name:tag` without its tag."""
    host, slash, last = name.rpartition("/")
    return host + slash + last.partition(":")[0]


def full_name(name: str) -> str:
    """Return the short form `name:tag` or `name` with the registry that it means."""
    host, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if "." in host or ":" in host or host == "localhost" else f"docker.io/{name}"


class Images:
    """The images below a directory, read anew for each question."""

    def __init__(self, directory: Path) -> None:
        """`directory` holds one directory per image."""
        self._directory = directory

    def all(self) -> list[Image]:
        """Return all images. Raises ValueError if one has no description."""
        return [read_image(path.parent) for path in sorted(self._directory.glob("*/image.json"))]

    def find(self, reference: str) -> Image:
        """Return the image that a pod calls `reference`. Raises InvalidImageNameError, ImageNotFoundError."""
        name, digest = familiar(reference)
        images = self.all()
        for image in images:
            if image.is_called(name, digest):
                return image
        known = [f"{name}@{image.config.digest}" for image in images for name in image.config.references]
        raise ImageNotFoundError(
            f'failed to pull and unpack image "{reference}": not found: the sandbox pulls no images, '
            f"it has {', '.join(known) or 'none'} in {self._directory}"
        )


def read_image(directory: Path) -> Image:
    """Read the image in `directory`. Raises FileNotFoundError, ValueError (image.json is not an ImageConfig)."""
    file = directory / "image.json"
    try:
        return Image(directory / "rootfs", ImageConfig(**json.loads(file.read_text())))
    except TypeError as error:
        raise ValueError(f"{file} does not have the fields of an image: {error}") from error


def write_image(directory: Path, config: ImageConfig) -> None:
    """Describe the image in `directory`, whole or not at all."""
    new = directory / "image.json.new"
    new.write_text(json.dumps(asdict(config), indent=2) + "\n")
    new.replace(directory / "image.json")


def make_registry_image(
    directory: Path, *, binary: Path, config_file: Path, config_path: str, references: list[str], digest: str
) -> Image:
    """Make the image of the registry, as its release's Dockerfile does, in `directory`, in place of what is there.

    `binary` is the static `registry`, `config_file` the release's own `cmd/registry/config-dev.yml`, which the image
    has at the absolute path `config_path`. The binary is a hard link where the file system allows it.
    Raises ValueError if a reference is no `name:tag` in its short form.
    """
    for reference in references:
        if familiar(reference) != (reference, None):
            raise ValueError(f"image reference {reference!r}: give name:tag without registry and digest")
    new = directory.with_name(directory.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    rootfs = new / "rootfs"
    for name in ROOT_DIRECTORIES:
        (rootfs / name).mkdir(parents=True)
    (rootfs / "tmp").chmod(0o1777)
    try:
        (rootfs / "bin/registry").hardlink_to(binary)
    except OSError:
        shutil.copy2(binary, rootfs / "bin/registry")
    (rootfs / "bin/registry").chmod(0o755)
    (rootfs / CA_BUNDLE[1:]).touch()
    (rootfs / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n")
    (rootfs / "etc/group").write_text("root:x:0:\nnobody:x:65534:\n")
    config = rootfs / config_path.lstrip("/")
    config.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(config_file, config)
    image = ImageConfig(
        references=references,
        digest=digest,
        size=sum(path.lstat().st_size for path in rootfs.rglob("*") if path.is_file()),
        entrypoint=["registry"],
        cmd=["serve", config_path],
        env={
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "OTEL_TRACES_EXPORTER": "none",
        },
        user=0,
    )
    write_image(new, image)
    shutil.rmtree(directory, ignore_errors=True)
    new.rename(directory)
    return read_image(directory)
