"""Controller: what keeps the registry's pods running, and healthy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from registry.environment import (
    DRAIN_SECONDS,
    PORT,
    SECRET_VARIABLES,
    STORAGE_CHECK_SECONDS,
    registry_environment,
)
from registry.settings import MIB, Settings

APP_LABELS = {"k8s-app": "kube-registry"}
"""What the Service selects: pods of every controller and version."""

FIRST_VERSION = "v0"

ENDPOINT_REMOVAL_SECONDS = 5
"""How long an ending pod still takes new requests, for every node to hear that it is no endpoint any more."""

USER_ID = 65532
"""Any user but root: the registry keeps nothing in its file system. The same number as distroless images have."""


class Controller(pulumi.ComponentResource):
    """The registry's pods, under a Deployment or a ReplicationController, and the Secret that they read.

    Both controllers replace pods without a moment without a ready one, at every change of the pod template.

    Outputs: `selector` (dict of labels that every pod has) and `workload` (the controller's resource).
    """

    selector: Mapping[str, str]
    workload: pulumi.Resource

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        bucket_name: pulumi.Input[str],
        region: pulumi.Input[str],
        access_key_id: pulumi.Input[str],
        secret_access_key: pulumi.Input[str],
        http_secret: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("registry:index:Controller", name, None, opts)

        # Named by Pulumi: other values are another Secret of another name, and so a change of the pods that read it.
        secret = k8s.core.v1.Secret(
            f"{name}-environment",
            metadata={"namespace": settings.namespace, "labels": APP_LABELS},
            immutable=True,
            string_data={
                "accessKey": access_key_id,
                "secretKey": secret_access_key,
                "httpSecret": http_secret,
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        environment = registry_environment(settings, bucket=bucket_name, region=region)
        pod = _pod(settings, environment, secret.metadata.name)

        if settings.controller == "Deployment":
            self.workload = self._deployment(name, settings, pod)
        else:
            self.workload = self._replication_controller(name, settings, pod)
        self.selector = APP_LABELS
        self.register_outputs({"selector": self.selector, "workload": self.workload.urn})

    def _deployment(self, name: str, settings: Settings, pod: k8s.core.v1.PodSpecArgsDict) -> k8s.apps.v1.Deployment:
        labels = _labels(FIRST_VERSION)
        return k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata={"name": "kube-registry", "namespace": settings.namespace, "labels": labels},
            spec={
                "replicas": settings.replicas,
                "selector": {"match_labels": APP_LABELS},
                "strategy": {"type": "RollingUpdate", "rolling_update": {"max_surge": 1, "max_unavailable": 0}},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _replication_controller(
        self, name: str, settings: Settings, pod: k8s.core.v1.PodSpecArgsDict
    ) -> k8s.core.v1.ReplicationController:
        """A ReplicationController never touches pods that run, so another template gets a successor of another name.

        Pulumi makes the successor, waits for its pods, and then deletes the predecessor. The first template's version
        is `v0`; each other's is named after what it says, so that any two differ.
        """
        template = pulumi.Output.json_dumps(pod).apply(lambda text: hashlib.sha256(text.encode()).hexdigest()[:8])
        first = pulumi.Stash(f"{name}-first-template", input=template, opts=pulumi.ResourceOptions(parent=self))
        version = pulumi.Output.all(template, first.output).apply(
            lambda both: FIRST_VERSION if both[0] == both[1] else f"v{both[0]}"
        )
        labels = version.apply(_labels)
        return k8s.core.v1.ReplicationController(
            f"{name}-replication-controller",
            metadata={
                "name": version.apply(lambda version: f"kube-registry-{version}"),
                "namespace": settings.namespace,
                "labels": labels,
            },
            spec={
                "replicas": settings.replicas,
                "selector": version.apply(lambda version: {**APP_LABELS, "version": version}),
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
            opts=pulumi.ResourceOptions(parent=self),
        )


def _labels(version: str) -> dict[str, str]:
    return {**APP_LABELS, "version": version, "kubernetes.io/cluster-service": "true"}


def _pod(
    settings: Settings, environment: Mapping[str, pulumi.Input[str]], secret_name: pulumi.Input[str]
) -> k8s.core.v1.PodSpecArgsDict:
    """The pod that every controller runs."""
    return {
        # A Service named `registry` would put REGISTRY_PORT and the like into the registry's configuration.
        "enable_service_links": False,
        "termination_grace_period_seconds": ENDPOINT_REMOVAL_SECONDS + DRAIN_SECONDS + 5,
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
                    *(
                        {"name": key, "value_from": {"secret_key_ref": {"name": secret_name, "key": item}}}
                        for key, item in SECRET_VARIABLES.items()
                    ),
                ],
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
    }


def _memory_limit(chunk_size: int) -> int:
    """Bytes for 16 uploads at once with parts of `chunk_size` bytes.

    Measured with registry 3.1.1: an upload takes 85 MB with parts of 5 MiB and 350 MB with 64 MiB, so about 65 MB and
    4.5 parts; the first counts once a pod, the second with each upload.
    """
    return 128 * MIB + 16 * 9 * chunk_size // 2
