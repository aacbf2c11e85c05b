"""The registry's environment: settings in, REGISTRY_* variables out. It imports no Pulumi.

A variable overrides the configuration file of the image: REGISTRY_A_B is its `a: {b: ...}`, the value parsed as YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from registry.settings import MIB, Settings, told

PORT = 5000
"""Where the registry listens in its pod: the image's own."""

DEBUG_PORT = 5001
"""Where it has metrics and profiles (pprof): the port of the images, which only the pod itself reaches."""

DRAIN_SECONDS = 60
"""How long a pod that is told to end goes on with the requests it has."""

STORAGE_CHECK_SECONDS = 5
"""How often a pod asks S3 for a listing to see if it is well; the first time that long after its start."""

STORAGE_CHECK_FAILURES = 2
"""How many of these must fail in a row: S3 answers one with an error now and then, and all pods ask the same S3."""

REALM = "kube-registry"
"""What a client is told that it logs in to: none of the hostnames, so that another one does not touch the pods."""

ROOT_DIRECTORY_VARIABLE = "REGISTRY_STORAGE_S3_ROOTDIRECTORY"
"""Where in the bucket the registry is: at its top, and the storage check at a prefix of its own."""

ENDPOINT_VARIABLE = "REGISTRY_STORAGE_S3_REGIONENDPOINT"
"""Where S3 is, if not where AWS has it."""

HTTPS_PORT = 443

HTPASSWD_DIRECTORY = "/etc/registry"
HTPASSWD_FILE = "htpasswd"
"""Where the container finds its users and the bcrypt hashes of their passwords."""

Text = TypeVar("Text")


def registry_environment(settings: Settings, *, bucket: Text, region: Text) -> dict[str, str | Text]:
    """The variables that are no secret, by name. `bucket` and `region` go through untouched, so may be Pulumi outputs.

    Secrets are apart: see ACCESS_KEY_VARIABLES and SECRET_VARIABLES.
    """
    variables: dict[str, str | Text] = {
        "REGISTRY_HTTP_ADDR": f":{PORT}",
        # The images have it on every address: heap and profiles for each pod of a cluster that enforces no policy.
        "REGISTRY_HTTP_DEBUG_ADDR": f"127.0.0.1:{DEBUG_PORT}",
        # The load balancer ends TLS: the registry itself would tell clients to upload to http://. And whichever of its
        # names and ports a client came by, it stays there.
        "REGISTRY_HTTP_RELATIVEURLS": "true",
        # Without it the registry dies at SIGTERM with the requests it has.
        "REGISTRY_HTTP_DRAINTIMEOUT": f"{DRAIN_SECONDS}s",
        # With the images' own, 10 s and three failures, pods stay endpoints for half a minute of an S3 that is away.
        "REGISTRY_HEALTH_STORAGEDRIVER_ENABLED": "true",
        "REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL": f"{STORAGE_CHECK_SECONDS}s",
        "REGISTRY_HEALTH_STORAGEDRIVER_THRESHOLD": str(STORAGE_CHECK_FAILURES),
        # The 3.x image says debug: 5.5 kB for each request, 0.8 with info.
        "REGISTRY_LOG_LEVEL": "info",
        # What collects logs reads it without rules of its own; the images' differ.
        "REGISTRY_LOG_FORMATTER": "json",
        # It is in another format, and has a line for every probe; each request has one of the registry's own.
        "REGISTRY_LOG_ACCESSLOG_DISABLED": "true",
        # Without it 3.x sends traces to localhost:4318, and logs every few seconds that nobody is there.
        "OTEL_TRACES_EXPORTER": "none",
        # Else the SDK asks the global endpoint in us-east-1 and for STS, which is another region's trouble too.
        "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional",
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        # Collects garbage before the kernel ends the container for it.
        "GOMEMLIMIT": f"{memory_limit(settings.chunk_size) * 9 // 10 // MIB}MiB",
        # Replaces the storage of the image's own configuration as a whole, its cache too. The name is lower-case.
        "REGISTRY_STORAGE": "s3",
        # A HEAD of a layer that is known asks S3 nothing; without it, 7 times.
        "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "inmemory",
        "REGISTRY_STORAGE_S3_REGION": region,
        "REGISTRY_STORAGE_S3_BUCKET": bucket,
        # The bucket's default encrypts, always: the driver takes up an upload in chunks without a KMS key's id, so
        # whoever asks for encryption at all would get another key than the bucket's. So no pod minds a change of it.
        "REGISTRY_STORAGE_S3_ENCRYPT": "false",
        "REGISTRY_STORAGE_S3_SECURE": "true",
        "REGISTRY_STORAGE_S3_V4AUTH": "true",
        "REGISTRY_STORAGE_S3_CHUNKSIZE": str(settings.chunk_size),
    }
    if settings.users:
        variables["REGISTRY_AUTH"] = "htpasswd"
        variables["REGISTRY_AUTH_HTPASSWD_REALM"] = REALM
        variables["REGISTRY_AUTH_HTPASSWD_PATH"] = f"{HTPASSWD_DIRECTORY}/{HTPASSWD_FILE}"
    if not settings.redirect:
        variables["REGISTRY_STORAGE_REDIRECT_DISABLE"] = "true"
    if settings.bucket.endpoint:
        variables[ENDPOINT_VARIABLE] = settings.bucket.endpoint
        # A host name for each bucket would need a certificate for it, which a VPC endpoint's URL need not have.
        variables["REGISTRY_STORAGE_S3_FORCEPATHSTYLE"] = "true"
    return variables | settings.environment


def variables_of(pod: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """A pod's variables by name, each with a `value` or `valueFrom`. All is as the API server gives it."""
    return {one["name"]: one for container in pod["spec"]["containers"] for one in container.get("env", [])}


def s3_port(endpoint: str | None) -> int:
    """The port of an S3 API's URL; None is AWS's own."""
    url = urlsplit(endpoint or "")
    return url.port or (80 if url.scheme == "http" else HTTPS_PORT)


def environment_mistakes(settings: Settings) -> list[str]:
    """What the setting `environment` says that the stack says itself, in the words of the settings' errors.

    What the stack would say with other values of `redirect` and `bucket.endpoint` is theirs as well: pods would do what
    these refuse. A variable is said by a setting also where it would replace, as a whole, what a longer one says a part
    of.
    """
    endpoint = settings.bucket.model_copy(update={"endpoint": "https://s3.example.com"})
    others = {"environment": {}, "redirect": False, "bucket": endpoint}
    own = [
        *registry_environment(settings.model_copy(update=others), bucket="", region=""),
        *ACCESS_KEY_VARIABLES,
        *SECRET_VARIABLES,
        ROOT_DIRECTORY_VARIABLE,
    ]
    return [
        told(
            f"environment.{name}",
            settings.environment[name],
            f"be left out, as the stack sets {taken[0]} itself",
            f"pulumi config rm --path environment.{name}; docs/settings.md has what sets it, if something does",
        )
        for name in settings.environment
        if (taken := [one for one in own if one == name or one.startswith(f"{name}_")])
    ]


def memory_limit(chunk_size: int) -> int:
    """Bytes for 16 uploads at once to a pod, with parts of `chunk_size` bytes.

    Measured with registry 3.1.2, eight layers of which five at once: 123, 198 and 336 MB at most with parts of 5, 16
    and 32 MiB, and 46 MB idle; so up to 1.9 parts an upload, and 3.1 of the smallest. The driver's buffer grows by
    doubling, to twice a part.
    """
    return 128 * MIB + 16 * (8 * MIB + 3 * chunk_size)


ACCESS_KEY_VARIABLES = {
    "REGISTRY_STORAGE_S3_ACCESSKEY": "accessKey",
    "REGISTRY_STORAGE_S3_SECRETKEY": "secretKey",
}
SECRET_VARIABLES = {"REGISTRY_HTTP_SECRET": "httpSecret"}
"""The variables that reach the container from Kubernetes Secrets, and their keys there. The access key has its own."""
