"""The pod of the registry, which every controller runs: its container, and what keeps it healthy and harmless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pulumi

from registry import storage_check
from registry.environment import (
    DRAIN_SECONDS,
    HTPASSWD_DIRECTORY,
    HTPASSWD_FILE,
    PORT,
    SECRET_VARIABLES,
    STORAGE_CHECK_FAILURES,
    STORAGE_CHECK_SECONDS,
)
from registry.pod_credentials import PodCredentials
from registry.settings import MIB

if TYPE_CHECKING:
    import pulumi_kubernetes as k8s

POD_LABELS = {"k8s-app": "kube-registry"}
"""What the Service and the NetworkPolicy select: pods of every controller and version."""

ENDPOINT_REMOVAL_SECONDS = 5
"""How long an ending pod still takes new requests, for every node to hear that it is no endpoint any more."""


def termination_grace_period_seconds(removal_seconds: int) -> int:
    """How long an ending pod may take at the most, of which it takes new requests for `removal_seconds`."""
    return removal_seconds + DRAIN_SECONDS + 5


USER_ID = 65532
"""Any user but root: the registry keeps nothing in its file system. The same number as distroless images have."""


def pod_spec(
    image: str,
    environment: Mapping[str, pulumi.Input[str]],
    *,
    memory_limit: int,
    removal_seconds: int,
    has_users: bool,
    image_pull_secrets: Sequence[str],
    storage_check_name: pulumi.Input[str],
    credentials: PodCredentials,
    secret_name: pulumi.Input[str],
    service_account_name: pulumi.Input[str],
) -> k8s.core.v1.PodSpecArgsDict:
    """The pod's spec, within the Pod Security Standard `restricted`.

    `environment` has the variables that are no secret; the others come from the Secret, as do the users, if there are
    any. `credentials` are the registry's at AWS. `image_pull_secrets`: names of Secrets. `memory_limit`: in bytes.
    `removal_seconds`: how long an ending pod still takes new requests. `storage_check_name` is the ConfigMap of the
    storage check.
    """
    security_context: k8s.core.v1.SecurityContextArgsDict = {
        "allow_privilege_escalation": False,
        "read_only_root_filesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }

    def from_secret(variables: Mapping[str, str], name: pulumi.Input[str]) -> list[k8s.core.v1.EnvVarArgsDict]:
        return [
            {"name": variable, "value_from": {"secret_key_ref": {"name": name, "key": key}}}
            for variable, key in variables.items()
        ]

    def plain(variables: Mapping[str, pulumi.Input[str]]) -> list[k8s.core.v1.EnvVarArgsDict]:
        return [{"name": name, "value": value} for name, value in variables.items()]

    volumes: list[k8s.core.v1.VolumeArgsDict] = [
        {"name": storage_check.CONTAINER, "config_map": {"name": storage_check_name}},
        *credentials.volumes,
    ]
    mounts: list[k8s.core.v1.VolumeMountArgsDict] = [*credentials.mounts]
    if has_users:
        items: list[k8s.core.v1.KeyToPathArgsDict] = [{"key": HTPASSWD_FILE, "path": HTPASSWD_FILE}]
        volumes.append({"name": HTPASSWD_FILE, "secret": {"secret_name": secret_name, "items": items}})
        mounts.append({"name": HTPASSWD_FILE, "mount_path": HTPASSWD_DIRECTORY, "read_only": True})
    spec: k8s.core.v1.PodSpecArgsDict = {
        "service_account_name": service_account_name,
        "automount_service_account_token": False,
        # A Service named `registry` would put REGISTRY_PORT and the like into the registry's configuration.
        "enable_service_links": False,
        "termination_grace_period_seconds": termination_grace_period_seconds(removal_seconds),
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": USER_ID,
            "run_as_group": USER_ID,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "init_containers": [
            storage_check.container(
                image,
                [*plain(storage_check.environment(environment)), *credentials.variables],
                credentials.mounts,
                security_context,
            )
        ],
        "containers": [
            {
                "name": "registry",
                "image": image,
                "env": [
                    *plain(environment),
                    *credentials.variables,
                    *from_secret(SECRET_VARIABLES, secret_name),
                ],
                "volume_mounts": mounts or None,
                "ports": [{"name": "registry", "container_port": PORT, "protocol": "TCP"}],
                # `/` answers 503 while S3 can't be reached: such a pod takes no requests, but a restart cures nothing.
                # Until it has failed often enough it answers 200, so nobody asks before it could have.
                "readiness_probe": {
                    "http_get": {"path": "/", "port": "registry"},
                    "initial_delay_seconds": STORAGE_CHECK_SECONDS * STORAGE_CHECK_FAILURES + 1,
                    "period_seconds": 2,
                    "timeout_seconds": 2,
                },
                "liveness_probe": {"tcp_socket": {"port": "registry"}, "period_seconds": 10, "timeout_seconds": 5},
                "lifecycle": {"pre_stop": {"sleep": {"seconds": removal_seconds}}},
                "resources": {
                    # A push costs 5 ms of CPU time for each MiB, so 250m are 50 MiB/s, and more where the node has it.
                    # Five layers at once take 200 MB.
                    "requests": {"cpu": "250m", "memory": "256Mi"},
                    "limits": {"memory": f"{memory_limit // MIB}Mi"},
                },
                "security_context": security_context,
            }
        ],
        "volumes": volumes,
    }
    if image_pull_secrets:  # even an empty one would be another template, and so another ReplicationController
        spec["image_pull_secrets"] = [{"name": name} for name in image_pull_secrets]
    return spec
