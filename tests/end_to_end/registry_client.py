"""A client of the registry that gives up at the first failure, and a loop that never stops using it."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import requests

from sandbox.service_hosts import service_host
from tests.end_to_end.registry_stack import RegistryStack
from tests.waiting import PATIENCE_SECONDS

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class RegistryClient:
    """Speaks the registry's protocol through the sandbox's edge, without a single retry."""

    stack: RegistryStack
    user: str | None = None
    password: str | None = None
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = self.stack.outputs["url"]

    def session(self) -> requests.Session:
        """New connections, so that the load balancer chooses anew."""
        session = requests.Session()
        session.trust_env = False
        layout = self.stack.sandbox.layout
        session.proxies = {"http": layout.edge_url, "https": layout.edge_url}
        session.verify = str(layout.authority_certificate)
        if self.user and self.password:
            session.auth = (self.user, self.password)
        return session

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """One request to the registry; `path` is below the registry's URL, or a URL of its own."""
        url = path if path.startswith("http") else self.url + path
        with self.session() as session:
            return session.request(method, url, timeout=PATIENCE_SECONDS, allow_redirects=False, **arguments)

    def fetch(self, path: str, **arguments: Any) -> bytes:
        """The content at `path`; from S3, if the registry says so. Raises requests.RequestException."""
        response = self.request("GET", path, **arguments)
        if response.status_code == requests.codes.temporary_redirect:
            location = response.headers["Location"]
            anonymous = requests.Session()
            anonymous.trust_env = False
            if service_host(urlsplit(location).hostname or ""):  # names are the edge's to resolve
                anonymous.proxies = {"https": self.stack.sandbox.layout.edge_url}
            verify = str(self.stack.sandbox.layout.authority_certificate)
            response = anonymous.get(location, verify=verify, timeout=PATIENCE_SECONDS)
        response.raise_for_status()
        return response.content

    def pull(self, repository: str, tag: str) -> str:
        """Pull an image as a node does: manifest, configuration, layers; return the manifest's digest.

        Raises requests.RequestException, and AssertionError if a blob is not what its digest says.
        """
        path = f"/v2/{repository}"
        manifest = self.fetch(f"{path}/manifests/{tag}", headers={"Accept": f"{MANIFEST}, {OCI_MANIFEST}"})
        listed = json.loads(manifest)
        for blob in [listed["config"], *listed["layers"]]:
            content = self.fetch(f"{path}/blobs/{blob['digest']}")
            assert digest_of(content) == blob["digest"]
        return digest_of(manifest)

    def push(self, repository: str, tag: str, layer: bytes) -> str:
        """Push an image of one layer, which goes up in two chunks; return the manifest's digest.

        Raises requests.RequestException.
        """

        def descriptor(media_type: str, content: bytes) -> dict[str, Any]:
            return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}

        rootfs = {"type": "layers", "diff_ids": [digest_of(layer)]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()
        half = len(layer) // 2
        self.upload(repository, layer, sizes=[half, len(layer) - half])
        self.upload(repository, config)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": descriptor("application/vnd.oci.image.config.v1+json", config),
                "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
            }
        ).encode()
        headers = {"Content-Type": OCI_MANIFEST}
        self.request("PUT", f"/v2/{repository}/manifests/{tag}", data=manifest, headers=headers).raise_for_status()
        return digest_of(manifest)

    def upload(self, repository: str, content: bytes, sizes: Sequence[int] = ()) -> list[str]:
        """Push a blob in chunks of these sizes in bytes, or as one; return every Location that the registry gave.

        Raises requests.RequestException.
        """
        response = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        response.raise_for_status()
        locations = [response.headers["Location"]]
        start = 0
        for size in sizes or [len(content)]:
            chunk, start = content[start : start + size], start + size
            headers = {"Content-Range": f"{start - size}-{start - 1}", "Content-Type": "application/octet-stream"}
            response = self.request("PATCH", self.absolute(locations[-1]), data=chunk, headers=headers)
            response.raise_for_status()
            locations.append(response.headers["Location"])
        response = self.request("PUT", self.absolute(locations[-1]), params={"digest": digest_of(content)})
        response.raise_for_status()
        return [*locations, response.headers["Location"]]

    def copy(self, repository: str, tag: str, to: Iterable[tuple[str, str]]) -> None:
        """Put an image of the registry under other repositories and tags too. Raises requests.RequestException."""
        path = f"/v2/{repository}"
        manifest = self.fetch(f"{path}/manifests/{tag}", headers={"Accept": f"{MANIFEST}, {OCI_MANIFEST}"})
        listed = json.loads(manifest)
        with self.session() as session:
            for other, its_tag in to:
                for blob in [listed["config"], *listed["layers"]] if other != repository else []:
                    mount = {"mount": blob["digest"], "from": repository}
                    url = f"{self.url}/v2/{other}/blobs/uploads/"
                    mounted = session.post(url, params=mount, timeout=PATIENCE_SECONDS)
                    assert mounted.status_code == requests.codes.created, mounted.text
                session.put(
                    f"{self.url}/v2/{other}/manifests/{its_tag}",
                    data=manifest,
                    headers={"Content-Type": listed["mediaType"]},
                    timeout=PATIENCE_SECONDS,
                ).raise_for_status()

    def listed(self, path: str, key: str, page: int | None = None) -> list[str]:
        """All that a list of the API has, `tags` or `repositories`; asked for in pages of so many entries."""
        url, found = f"{self.url}{path}" + (f"?n={page}" if page else ""), []
        with self.session() as session:
            while url:
                answer = session.get(url, timeout=PATIENCE_SECONDS)
                answer.raise_for_status()
                found += answer.json()[key] or []
                following = answer.links.get("next", {}).get("url")
                url = following and self.absolute(following)
        return found

    def absolute(self, location: str) -> str:
        return location if location.startswith("http") else self.url + location


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


PULL_SECONDS, PUSH_SECONDS = 0.3, 1.0
"""Between the begins of two pulls, and of two pushes, while a stack changes: five of each at once cost a core."""


class Repeatedly:
    """Does something all the time while the block runs, each `interval` seconds as far as the machine allows."""

    def __init__(self, work: Callable[[], Any], interval: float) -> None:
        self._work = work
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failures: list[str] = []
        self.count = 0
        self.outage = 0.0
        """The longest time in seconds from a failure's begin to the next success, or to the end."""
        self._failing_since: float | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._succeeds()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._interval, time.monotonic() - self._interval)
            self.count += 1
            begun = time.monotonic()
            try:
                self._work()
            except Exception as error:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")
                self._failing_since = self._failing_since or begun
            else:
                self._succeeds()

    def _succeeds(self) -> None:
        if self._failing_since:
            self.outage = max(self.outage, time.monotonic() - self._failing_since)
        self._failing_since = None
