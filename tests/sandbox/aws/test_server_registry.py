"""The real registry on the emulated AWS, over HTTP and over HTTPS."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import random
import re
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.layout import Layout
from sandbox.tools.build import Toolchain
from tests.sandbox.aws.emulated_aws import CloudProcess
from tests.waiting import PATIENCE_SECONDS, wait_for

REGISTRY_SECRET = "registryhttpsecret"


def layer(path: Path, megabytes: int) -> Path:
    """Write a layer of random bytes, the same each time."""
    content = random.Random(megabytes).randbytes(megabytes * 2**20)
    entry = tarfile.TarInfo("blob")
    entry.size = len(content)
    with tarfile.open(path, "w") as archive:
        archive.addfile(entry, io.BytesIO(content))
    return path


REGISTRY_PERMISSIONS = {
    "": ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
    "/*": [
        "s3:PutObject",
        "s3:GetObject",
        "s3:DeleteObject",
        "s3:ListMultipartUploadParts",
        "s3:AbortMultipartUpload",
    ],
}


class Registry:
    """The real registry on a bucket of its own, with a key that may do what the registry needs and no more."""

    numbers = itertools.count(1)

    def __init__(
        self, tools: Toolchain, layout: Layout, admin: Callable[[str], Any], directory: Path, *, tls: bool
    ) -> None:
        number = next(Registry.numbers)
        self.tools = tools
        self.bucket, self.directory = f"registry-{number}", directory
        self.host = f"127.{layout.network}.1.{number}:5000"
        self.s3, self.iam, self.kms = admin("s3"), admin("iam"), admin("kms")
        self.kms_key = self.kms.create_key()["KeyMetadata"]["Arn"]
        self.s3.create_bucket(Bucket=self.bucket)
        self.iam.create_user(UserName=self.bucket)
        self.permit()
        key = self.iam.create_access_key(UserName=self.bucket)["AccessKey"]
        self.environment = {
            "REGISTRY_HTTP_ADDR": self.host,
            "REGISTRY_HTTP_SECRET": REGISTRY_SECRET,
            "REGISTRY_STORAGE": "s3",
            "REGISTRY_STORAGE_DELETE_ENABLED": "true",
            "REGISTRY_STORAGE_S3_REGION": "us-east-1",
            "REGISTRY_STORAGE_S3_REGIONENDPOINT": layout.cloud_tls_url if tls else layout.cloud_url,
            "REGISTRY_STORAGE_S3_FORCEPATHSTYLE": "true",
            "REGISTRY_STORAGE_S3_SECURE": str(tls).lower(),
            "REGISTRY_STORAGE_S3_BUCKET": self.bucket,
            "REGISTRY_STORAGE_S3_ACCESSKEY": key["AccessKeyId"],
            "REGISTRY_STORAGE_S3_SECRETKEY": key["SecretAccessKey"],
            "REGISTRY_STORAGE_S3_V4AUTH": "true",
            "OTEL_TRACES_EXPORTER": "none",
            "SSL_CERT_FILE": str(layout.authority_certificate),
        }

    def permit(self, *more: dict[str, Any]) -> None:
        arn = f"arn:aws:s3:::{self.bucket}"
        needed = [
            {"Effect": "Allow", "Action": actions, "Resource": arn + below}
            for below, actions in REGISTRY_PERMISSIONS.items()
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": [*needed, *more]})
        self.iam.put_user_policy(UserName=self.bucket, PolicyName="registry", PolicyDocument=policy)

    @contextmanager
    def serving(self, **more: str) -> Iterator[None]:
        config = self.directory / "config.yml"
        config.write_text("version: 0.1\nstorage: {inmemory: {}}\nhttp: {addr: 'localhost:0'}\n")
        binary = self.tools.images / "registry-3.1.1/rootfs/bin/registry"
        with (self.directory / f"{self.bucket}.log").open("ab") as log:
            served = subprocess.Popen([binary, "serve", config], env=self.environment | more, stdout=log, stderr=log)
        try:
            wait_for(self._answers, "registry")
            yield
        finally:
            served.kill()
            served.wait()

    def _answers(self) -> bool:
        try:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            return direct.open(f"http://{self.host}/v2/", timeout=PATIENCE_SECONDS).status == 200
        except OSError:
            return False

    def crane(self, *arguments: str, fails: bool = False) -> str:
        environment = {"HOME": str(self.directory), "SSL_CERT_FILE": self.environment["SSL_CERT_FILE"]}
        command = [self.tools.binaries / "crane", *arguments, "--insecure"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done.stdout.strip() if not fails else done.stderr

    def push(self, name: str, *layers: Path) -> None:
        files = [argument for each in layers for argument in ("-f", str(each))]
        self.crane("append", *files, "-t", f"{self.host}/{name}:1")

    def pull(self, name: str) -> list[str]:
        """Pull the image; return the SHA-256 of its layers, uncompressed."""
        path = self.directory / "pulled.tar"
        self.crane("pull", "--format=oci", f"{self.host}/{name}:1", str(path))
        config = json.loads(self.crane("config", f"{self.host}/{name}:1"))
        return [digest.removeprefix("sha256:") for digest in config["rootfs"]["diff_ids"]]

    def encryptions(self) -> set[tuple[str | None, str | None]]:
        heads = [
            self.s3.head_object(Bucket=self.bucket, Key=each["Key"])
            for each in self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]
        ]
        return {(head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")) for head in heads}


@pytest.fixture(params=[False, True], ids=["http", "https"])
def registry(
    request: pytest.FixtureRequest,
    tools: Toolchain,
    cloud_process: CloudProcess,
    administrator: Callable[[str], Any],
    tmp_path: Path,
) -> Registry:
    return Registry(tools, cloud_process.layout, administrator, tmp_path, tls=request.param)


@pytest.mark.sandbox
def test_the_registry_pushes_pulls_and_deletes_with_its_own_permissions(registry: Registry, tmp_path: Path) -> None:
    layers = [layer(tmp_path / f"{size}.tar", size) for size in (3, 24)]
    with registry.serving():
        registry.push("app", *layers)
        assert registry.pull("app") == [hashlib.sha256(each.read_bytes()).hexdigest() for each in layers]
        digest = registry.crane("digest", f"{registry.host}/app:1")
        blob = re.findall(r"sha256:\w+", registry.crane("manifest", f"{registry.host}/app:1"))[-1]
        redirect = no_redirect(f"http://{registry.host}/v2/app/blobs/{blob}")
        assert redirect.startswith(registry.environment["REGISTRY_STORAGE_S3_REGIONENDPOINT"])
        assert "X-Amz-Signature=" in redirect
        registry.crane("delete", f"{registry.host}/app@{digest}")
        assert "MANIFEST_UNKNOWN" in registry.crane("manifest", f"{registry.host}/app:1", fails=True)
    assert registry.encryptions() == {("AES256", None)}
    assert "Uploads" not in registry.s3.list_multipart_uploads(Bucket=registry.bucket)


def no_redirect(url: str) -> str:
    """The address that `url` redirects to."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None:
            return None

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay).open(url, timeout=PATIENCE_SECONDS)
    assert caught.value.code == 307
    return caught.value.headers["Location"]


@pytest.mark.sandbox
def test_a_bucket_for_tls_only_is_reached_by_the_registry_over_https_only(registry: Registry, tmp_path: Path) -> None:
    over_tls = registry.environment["REGISTRY_STORAGE_S3_SECURE"] == "true"
    resources = [f"arn:aws:s3:::{registry.bucket}", f"arn:aws:s3:::{registry.bucket}/*"]
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": resources}
    deny["Condition"] = {"Bool": {"aws:SecureTransport": "false"}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    small = layer(tmp_path / "1.tar", 1)
    with registry.serving():
        registry.push("app", small)
        registry.s3.put_bucket_policy(Bucket=registry.bucket, Policy=policy)
        if over_tls:
            registry.push("more", small)
            assert registry.pull("more") == [hashlib.sha256(small.read_bytes()).hexdigest()]
        else:
            blob = re.findall(r"sha256:\w+", registry.crane("manifest", f"{registry.host}/app:1", fails=True))
            assert not blob


@pytest.mark.sandbox
def test_the_registry_encrypts_with_a_kms_key_that_it_may_use(registry: Registry, tmp_path: Path) -> None:
    layers = [layer(tmp_path / f"{size}.tar", size) for size in (1, 24)]
    use = {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": registry.kms_key}
    with registry.serving(REGISTRY_STORAGE_S3_ENCRYPT="true", REGISTRY_STORAGE_S3_KEYID=registry.kms_key):
        registry.permit(use)
        registry.push("app", *layers)
        assert registry.pull("app") == [hashlib.sha256(each.read_bytes()).hexdigest() for each in layers]
        registry.permit()
        registry.crane("blob", f"{registry.host}/app@{blob_of(registry)}", fails=True)
    assert registry.encryptions() == {("aws:kms", registry.kms_key)}


def blob_of(registry: Registry) -> str:
    registry.permit({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": registry.kms_key})
    manifest = registry.crane("manifest", f"{registry.host}/app:1")
    registry.permit()
    return re.findall(r"sha256:\w+", manifest)[-1]


@pytest.mark.sandbox
def test_the_log_of_all_this_has_no_secret_and_no_signature(cloud_process: CloudProcess) -> None:
    log = cloud_process.log.read_text()
    assert "Traceback" not in log
    assert "X-Amz-" not in log
    assert cloud_process.account().secret_access_key not in log
