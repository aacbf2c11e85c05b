"""The pod of the registry, which every controller runs: its container, and what keeps it healthy and harmless."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pulumi

from registry.environment import (
    ACCESS_KEY_VARIABLES,
    DRAIN_SECONDS,
    HTPASSWD_DIRECTORY,
    HTPASSWD_FILE,
    PORT,
    SECRET_VARIABLES,
    STORAGE_CHECK_SECONDS,
)
from registry.settings import MIB, Settings

if TYPE_CHECKING:
    import pulumi_kubernetes as k8s

ENDPOINT_REMOVAL_SECONDS = 5
"""How long an ending pod still takes new requests, for every node to hear that it is no endpoint any more."""

TERMINATION_GRACE_PERIOD_SECONDS = ENDPOINT_REMOVAL_SECONDS + DRAIN_SECONDS + 5
"""How long an ending pod may take at the most."""

USER_ID = 65532
"""Any user but root: the registry keeps nothing in its file system. The same number as distroless images have."""


def pod_spec(
    settings: Settings,
    environment: Mapping[str, pulumi.Input[str]],
    *,
    access_key_secret_name: pulumi.Input[str],
    secret_name: pulumi.Input[str],
    service_account_name: pulumi.Input[str],
) -> k8s.core.v1.PodSpecArgsDict:
    """The pod's spec, within the Pod Security Standard `restricted`.

    `environment` has the variables that are no secret; the others come from the two Secrets, as do the users.
    """

    def from_secret(variables: Mapping[str, str], name: pulumi.Input[str]) -> list[k8s.core.v1.EnvVarArgsDict]:
        return [
            {"name": variable, "value_from": {"secret_key_ref": {"name": name, "key": key}}}
            for variable, key in variables.items()
        ]

    return {
        "service_account_name": service_account_name,
        "automount_service_account_token": False,
        # A Service named `registry` would put REGISTRY_PORT and the like into the registry's configuration.
        "enable_service_links": False,
        "termination_grace_period_seconds": TERMINATION_GRACE_PERIOD_SECONDS,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": USER_ID,
            "run_as_group": USER_ID,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "registry",
                "image": settings.image,
                "env": [
                    *({"name": key, "value": value} for key, value in environment.items()),
                    *from_secret(ACCESS_KEY_VARIABLES, access_key_secret_name),
                    *from_secret(SECRET_VARIABLES, secret_name),
                ],
                "volume_mounts": [{"name": HTPASSWD_FILE, "mount_path": HTPASSWD_DIRECTORY, "read_only": True}]
                if settings.users
                else None,
                "ports": [{"name": "registry", "container_port": PORT, "protocol": "TCP"}],
                # `/` answers 503 while S3 can't be reached: such a pod takes no requests, but a restart cures nothing.
                # Before its first look at S3 it answers 200, so nobody asks until then.
                "readiness_probe": {
                    "http_get": {"path": "/", "port": "registry"},
                    "initial_delay_seconds": STORAGE_CHECK_SECONDS + 1,
                    "period_seconds": 2,
                    "timeout_seconds": 2,
                },
                "liveness_probe": {"tcp_socket": {"port": "registry"}, "period_seconds": 10, "timeout_seconds": 5},
                "lifecycle": {"pre_stop": {"sleep": {"seconds": ENDPOINT_REMOVAL_SECONDS}}},
                "resources": {
                    "requests": {"cpu": "100m", "memory": "128Mi"},
                    "limits": {"memory": f"{_memory_limit(settings.chunk_size) // MIB}Mi"},
                },
                "security_context": {
                    "allow_privilege_escalation": False,
                    "read_only_root_filesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": [
            {
                "name": HTPASSWD_FILE,
                "secret": {"secret_name": secret_name, "items": [{"key": HTPASSWD_FILE, "path": HTPASSWD_FILE}]},
            }
        ]
        if settings.users
        else None,
    }


def _memory_limit(chunk_size: int) -> int:
    """Bytes for 16 uploads at once with parts of `chunk_size` bytes.

    Measured with registry 3.1.1: an upload takes 85 MB with parts of 5 MiB and 350 MB with 64 MiB, so about 65 MB and
    4.5 parts; the first counts once a pod, the second with each upload.
    """
    return 128 * MIB + 16 * 9 * chunk_size // 2
