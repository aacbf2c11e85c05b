"""Images that the node has pulled from registries, by `crane`, as any other client of the sandbox does."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sandbox.node.image_layers import LayerError, lay_out
from sandbox.node.image_user import UnknownUserError, user_and_group
from sandbox.node.images import (
    Image,
    ImageConfig,
    ImageNotFoundError,
    Images,
    familiar,
    full_name,
    read_image,
    repository,
    write_image,
)
from sandbox.tools.pins import go_platform

PULL_SECONDS = 300.0
"""How long a command of crane may take: containerd's own limit for a pull in which nothing comes."""
MESSAGE_LENGTH = 500
"""Characters of an error that are told; an event's message has room for 1024."""
IMAGE_CONFIGURATIONS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_NETWORK = {"SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
_DOCKER_HUB = "https://index.docker.io/v1/"
"""How Docker's configuration calls the registry docker.io."""
_REDACTED = "REDACTED"


class PullError(Exception):
    """An image could not be pulled; says why as the registry, or what is on the way to it, does."""


class NotAnImageError(Exception):
    """What was fetched is no container image for this machine."""


@dataclass(frozen=True)
class Credentials:
    """What a registry is shown: the fields of CRI's AuthConfig, which are empty where there is nothing."""

    username: str = ""
    password: str = field(default="", repr=False)
    auth: str = field(default="", repr=False)
    """`username:password` in base64."""
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def docker_config(self, host: str) -> dict[str, Any]:
        """Return them as Docker's config.json for the registry `host`."""
        given = {one.name.replace("_", ""): value for one in fields(self) if (value := getattr(self, one.name))}
        name = _DOCKER_HUB if host in ("docker.io", "index.docker.io") else host
        return {"auths": {name: given} if given else {}}

    def redact(self, text: str) -> str:
        """Return `text` without what is secret."""
        for secret in (self.password, self.auth, self.identity_token, self.registry_token):
            text = text.replace(secret, _REDACTED) if secret else text
        return text


NOBODY = Credentials()


class PulledImages(Images):
    """The images pulled into a directory, where another process finds them again. Threads may share it."""

    def __init__(self, directory: Path, crane: Path, environment: Mapping[str, str], hosts: Path | None = None) -> None:
        """Keep images in `directory`, which only the owner may enter: programs in it may run as him (setuid).

        `crane` is the program; of `environment` it gets the proxies and the authorities. `hosts` is the directory in
        which registries without TLS are named, see `speaks_plain_http`; None: there are none.
        """
        super().__init__(directory)
        self._hosts = hosts
        self._arriving = directory / "arriving"
        self._crane = crane
        self._environment = {name: value for name, value in environment.items() if name in _NETWORK}
        self._lock = threading.RLock()
        """Guards the images' descriptions and `_digest_locks`."""
        self._digest_locks: dict[str, threading.Lock] = {}
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(0o700)
        shutil.rmtree(self._arriving, ignore_errors=True)  # of a process that was killed
        self._arriving.mkdir(mode=0o700, exist_ok=True)

    def all(self) -> list[Image]:
        """Return all images."""
        with self._lock:
            return super().all()

    def find(self, reference: str) -> Image:
        """Return the image of this name, or id. Raises InvalidImageNameError, ImageNotFoundError."""
        name, digest = familiar(reference)
        for image in self.all():
            if image.is_called(name, digest):
                return image
        raise ImageNotFoundError(f'image "{reference}": not found: it was not pulled')

    def remove(self, reference: str) -> None:
        """Remove the image of this name, or id, with all of its names; it may be gone already.

        Raises InvalidImageNameError.
        """
        try:
            image = self.find(reference)
        except ImageNotFoundError:
            return
        gone = Path(tempfile.mkdtemp(dir=self._arriving))
        with self._lock, suppress(FileNotFoundError):  # another thread was quicker
            image.rootfs.parent.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def pull(self, reference: str, credentials: Credentials = NOBODY) -> Image:
        """Ask the registry for what `reference` is now, fetch it unless it is here, and return it.

        The registry is asked in any case, so that nobody gets an image for which his credentials don't suffice.
        Raises InvalidImageNameError, PullError.
        """
        name, digest = familiar(reference)
        base = repository(name)
        with self._client(full_name(base).partition("/")[0], credentials) as crane:
            asked = f"{base}@{digest}" if digest else name
            # Not `crane digest`, whose HEAD request brings no reason why it fails.
            found = f"sha256:{hashlib.sha256(crane('manifest', '--', full_name(asked))).hexdigest()}"
            with self._lock:
                lock = self._digest_locks.setdefault(found, threading.Lock())
            with lock:
                directory = self._directory / found.replace(":", "-")
                if not (directory / "image.json").exists():
                    self._fetch(crane, base, found, directory)
                return self._name(directory, base, None if digest else name)

    def _fetch(self, crane: _Crane, name: str, digest: str, directory: Path) -> None:
        reference = f"{full_name(name)}@{digest}"
        layout, new = crane.directory / "layout", crane.directory / "image"
        crane("pull", "--format=oci", f"--platform={go_platform()}", "--", reference, str(layout))
        try:
            image_from_layout(layout, new, name, digest)
        except (NotAnImageError, LayerError, UnknownUserError, OSError) as error:
            raise PullError(f"{reference}: {error}") from error
        new.rename(directory)

    def _name(self, directory: Path, name: str, tag: str | None) -> Image:
        """Give the image in `directory` its name, and the name with a tag, which no other image has from now on."""
        with self._lock:
            for image in self.all():
                if tag in image.config.references and image.rootfs.parent != directory:
                    _set_references(image, [one for one in image.config.references if one != tag])
            image = read_image(directory)
            _set_references(image, [*image.config.references, name, *([tag] if tag else [])])
            return read_image(directory)

    @contextmanager
    def _client(self, host: str, credentials: Credentials) -> Iterator[_Crane]:
        """Crane with these credentials, in a file of a directory that is removed at the end."""
        directory = Path(tempfile.mkdtemp(dir=self._arriving))  # for its owner only
        try:
            file = directory / "config.json"
            file.touch(mode=0o600)
            file.write_text(json.dumps(credentials.docker_config(host)))
            own = {"DOCKER_CONFIG": str(directory), "HOME": str(directory), "PATH": os.defpath}
            options = ["--insecure"] if speaks_plain_http(host, self._hosts) else []
            yield _Crane(self._crane, self._environment | own, directory, credentials, options)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


@dataclass(frozen=True)
class _Crane:
    """Crane for one pull, with a directory of its own."""

    program: Path
    environment: dict[str, str]
    directory: Path
    credentials: Credentials
    options: list[str]

    def __call__(self, *arguments: str) -> bytes:
        """Run it and return what it prints. Raises PullError."""
        command = [str(self.program), *self.options, *arguments]
        try:
            done = subprocess.run(
                command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=PULL_SECONDS,
                check=False,
            )  # fmt: skip
        except OSError as error:
            raise PullError(f"{self.program}: {error.strerror}") from error
        except subprocess.TimeoutExpired:
            raise PullError(f"crane {arguments[0]}: not done within {PULL_SECONDS:g} s") from None
        if done.returncode:
            raise PullError(self.credentials.redact(reason(done.stderr.decode(errors="replace"))))
        return done.stdout


def speaks_plain_http(host: str, hosts: Path | None) -> bool:
    """Tell whether the registry `host` is without TLS: `HOST/hosts.toml` below `hosts` has a `server` of http://.

    It is asked at each pull. That is how containerd is told, of whose settings there nothing else is kept:
    https://github.com/containerd/containerd/blob/main/docs/hosts.md
    """
    try:
        text = ((hosts or Path(os.devnull)) / host / "hosts.toml").read_text()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return str(tomllib.loads(text).get("server", "")).startswith("http://")


def reason(output: str) -> str:
    """Return what crane says of its failure, in a line, without its warnings of what it tried before."""
    *_, said = re.split(r"^Error: ", output, flags=re.MULTILINE)
    text = " ".join(said.split()) or "crane failed and said nothing"
    return text if len(text) <= MESSAGE_LENGTH else text[:MESSAGE_LENGTH] + "..."


def image_from_layout(layout: Path, directory: Path, name: str, digest: str) -> None:
    """Make the image `name` in `directory` of the only one in the OCI image layout `layout`.

    `digest` is what the registry calls it by. Raises NotAnImageError, LayerError, UnknownUserError, OSError.
    """

    def blob(descriptor: dict[str, Any]) -> Path:
        return layout / "blobs" / descriptor["digest"].replace(":", "/")

    try:
        (described,) = json.loads((layout / "index.json").read_text())["manifests"]
        manifest = json.loads(blob(described).read_text())
        kind = manifest["config"]["mediaType"]
        if kind not in IMAGE_CONFIGURATIONS:
            raise NotAnImageError(f"not a container image: its configuration is of type {kind}")
        described = json.loads(blob(manifest["config"]).read_text())
        layers = [blob(layer) for layer in manifest["layers"]]
        size = manifest["config"]["size"] + sum(layer["size"] for layer in manifest["layers"])
        config = described.get("config") or {}
    except (KeyError, TypeError, ValueError) as error:
        raise NotAnImageError(f"not a container image: {error!r}") from error
    made_for = f"{described.get('os') or 'linux'}/{described.get('architecture') or go_platform().partition('/')[2]}"
    if made_for != go_platform():
        raise NotAnImageError(f"no match for platform {go_platform()} in manifest: the image is for {made_for}")
    rootfs = directory / "rootfs"
    rootfs.mkdir(parents=True)
    rootfs.chmod(0o755)
    lay_out(layers, rootfs)
    user = config.get("User") or ""
    uid, gid = user_and_group(rootfs, user)
    user_name = user.partition(":")[0]
    image = ImageConfig(
        references=[name],
        digest=digest,
        size=size,
        entrypoint=config.get("Entrypoint") or [],
        cmd=config.get("Cmd") or [],
        env=dict(variable.split("=", 1) for variable in config.get("Env") or [] if "=" in variable),
        user=uid,
        group=gid,
        user_name="" if user_name.isdecimal() else user_name,
        working_directory=config.get("WorkingDir") or "/",
    )
    write_image(directory, image)


def _set_references(image: Image, references: list[str]) -> None:
    write_image(image.rootfs.parent, replace(image.config, references=list(dict.fromkeys(references))))
