"""The registry's environment: settings in, REGISTRY_* variables out. Pure.

A variable overrides the configuration file of the image: REGISTRY_A_B is its `a: {b: ...}`, the value parsed as YAML.
"""

from __future__ import annotations

from typing import TypeVar

from registry.settings import Settings

PORT = 5000
"""Where the registry listens in its pod: the port of the post, and of the image."""

DRAIN_SECONDS = 60
"""How long a pod that is told to end goes on with the requests it has."""

STORAGE_CHECK_SECONDS = 5
"""How often a pod asks S3 for a listing to see if it is well; the first time that long after its start."""

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
        # Without it the registry dies at SIGTERM with the requests it has.
        "REGISTRY_HTTP_DRAINTIMEOUT": f"{DRAIN_SECONDS}s",
        # With the images' own, 10 s and three failures, a pod whose key doesn't work is ready for half a minute.
        "REGISTRY_HEALTH_STORAGEDRIVER_ENABLED": "true",
        "REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL": f"{STORAGE_CHECK_SECONDS}s",
        "REGISTRY_HEALTH_STORAGEDRIVER_THRESHOLD": "1",
        # Replaces the storage of the image's own configuration as a whole. The driver's name is lower-case.
        "REGISTRY_STORAGE": "s3",
        "REGISTRY_STORAGE_S3_REGION": region,
        "REGISTRY_STORAGE_S3_BUCKET": bucket,
        "REGISTRY_STORAGE_S3_ENCRYPT": "true",
        "REGISTRY_STORAGE_S3_SECURE": "true",
        "REGISTRY_STORAGE_S3_V4AUTH": "true",
        "REGISTRY_STORAGE_S3_CHUNKSIZE": str(settings.chunk_size),
    }
    if settings.bucket.kms_key_arn:
        # Without it ENCRYPT asks for AES256, over the bucket's own default.
        variables["REGISTRY_STORAGE_S3_KEYID"] = settings.bucket.kms_key_arn
    if settings.serves_tls:
        # The load balancer ends TLS: the registry itself would tell clients to upload to http://.
        variables["REGISTRY_HTTP_HOST"] = f"https://{settings.hostname}"
    if settings.users:
        variables["REGISTRY_AUTH"] = "htpasswd"
        variables["REGISTRY_AUTH_HTPASSWD_REALM"] = settings.hostname
        variables["REGISTRY_AUTH_HTPASSWD_PATH"] = f"{HTPASSWD_DIRECTORY}/{HTPASSWD_FILE}"
    if settings.bucket.endpoint:
        variables["REGISTRY_STORAGE_S3_REGIONENDPOINT"] = settings.bucket.endpoint
        # Few stores but AWS's have a host name for every bucket, and AWS's take this form as well.
        variables["REGISTRY_STORAGE_S3_FORCEPATHSTYLE"] = "true"
    return variables


ACCESS_KEY_VARIABLES = {
    "REGISTRY_STORAGE_S3_ACCESSKEY": "accessKey",
    "REGISTRY_STORAGE_S3_SECRETKEY": "secretKey",
}
SECRET_VARIABLES = {"REGISTRY_HTTP_SECRET": "httpSecret"}
"""The variables that reach the container from Kubernetes Secrets, and their keys there. The access key has its own."""
