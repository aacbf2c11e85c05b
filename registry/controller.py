"""Controller: what keeps the registry's pods running, and healthy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from urllib.parse import urlsplit

import pulumi
import pulumi_kubernetes as k8s

from registry.environment import HTPASSWD_FILE, PORT, registry_environment
from registry.pod import pod_spec
from registry.settings import Settings

APP_LABELS = {"k8s-app": "kube-registry"}
"""What the Service selects: pods of every controller and version."""

FIRST_VERSION = "v0"


class Controller(pulumi.ComponentResource):
    """The registry's pods, under a Deployment or a ReplicationController, with the Secret that they read.

    They have a ServiceAccount that may do nothing, and, if settings say so, a NetworkPolicy.

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
        htpasswd: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("registry:index:Controller", name, None, opts)

        child = pulumi.ResourceOptions(parent=self)

        service_account = k8s.core.v1.ServiceAccount(
            f"{name}-service-account",
            metadata={"name": "kube-registry", "namespace": settings.namespace, "labels": APP_LABELS},
            automount_service_account_token=False,
            opts=child,
        )
        # Named by Pulumi: other values are another Secret of another name, and so a change of the pods that read it.
        secret = k8s.core.v1.Secret(
            f"{name}-secret",
            metadata={"namespace": settings.namespace, "labels": APP_LABELS},
            immutable=True,
            string_data={
                "accessKey": access_key_id,
                "secretKey": secret_access_key,
                "httpSecret": http_secret,
                **({HTPASSWD_FILE: htpasswd} if settings.users else {}),
            },
            opts=child,
        )
        if settings.network_policy:
            k8s.networking.v1.NetworkPolicy(
                f"{name}-network-policy",
                metadata={"name": "kube-registry", "namespace": settings.namespace, "labels": APP_LABELS},
                spec=_network_policy(settings),
                opts=child,
            )
        pod = pod_spec(
            settings,
            registry_environment(settings, bucket=bucket_name, region=region),
            secret_name=secret.metadata.name,
            service_account_name=service_account.metadata.name,
        )

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
                # All at once: while pods with the former HTTP secret and the new one take turns, uploads fail.
                "strategy": {"type": "RollingUpdate", "rolling_update": {"max_surge": "100%", "max_unavailable": 0}},
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
        first = pulumi.Stash(
            f"{name}-first-template",
            input=template,
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["input"]),  # it keeps the first one whatever comes
        )
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


def _network_policy(settings: Settings) -> k8s.networking.v1.NetworkPolicySpecArgsDict:
    """In: the registry's port, from everywhere, as the load balancer comes by the nodes. Out: DNS, and the S3 API."""
    ports = {443}
    if settings.bucket.endpoint:
        url = urlsplit(settings.bucket.endpoint)
        ports = {url.port or (443 if url.scheme == "https" else 80)}
    return {
        "pod_selector": {"match_labels": APP_LABELS},
        "policy_types": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"port": PORT, "protocol": "TCP"}]}],
        "egress": [
            {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
            {"ports": [{"port": port, "protocol": "TCP"} for port in ports]},
        ],
    }
