"""Workload: the registry's pods, and what keeps them running and healthy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random as random

from registry import former_pods, network_policies, pod_credentials, storage_check
from registry.environment import HTPASSWD_FILE
from registry.identity import AccessKey, Identity
from registry.load_balancer import readiness_gates
from registry.ownership import Ownership
from registry.pod import ENDPOINT_REMOVAL_SECONDS, POD_LABELS, pod_spec
from registry.releases import warning_about

SERVICE_ACCOUNT = "kube-registry"
"""The pods', to which a role is bound."""
FIRST_VERSION = "v0"
WAIT_FOR = "pulumi.com/waitFor"
"""What the provider waits for:
pulumi.com/registry/packages/kubernetes/installation-configuration/#pulumicomwaitfor"""

_FORMER_TYPE = pulumi.Alias(type_="registry:index:Controller")
"""What a stack has that was made before it was called Workload."""

PROGRESS_DEADLINE_SECONDS = 150
"""How long an update waits for its pods: a node that is added for them takes one or two minutes, the image some
seconds."""


def _timeouts(seconds: int) -> pulumi.CustomTimeouts:
    """The provider reads no deadline of the cluster's, and would wait ten minutes."""
    return pulumi.CustomTimeouts(create=f"{seconds}s", update=f"{seconds}s")


class Workload(pulumi.ComponentResource):
    """The registry's pods, under a Deployment or a ReplicationController, with the Secrets that they read.

    They have a ServiceAccount that may do nothing, and NetworkPolicies: `policies`, by their names.
    `environment` has what is no secret. `s3_port`: where the pods reach S3. `memory_limit`: in bytes, of each pod.
    `htpasswd`: None, if everyone may come.
    `are_targets`: a load balancer sends connections to the pods themselves, and tells by a readiness gate when it does.

    Both controllers replace pods without a moment without a ready one, at every change of the pod template. Whoever
    depends on the workload gets ready pods.
    """

    def __init__(
        self,
        name: str,
        *,
        namespace: str,
        controller: str,
        replicas: int,
        image: str,
        environment: Mapping[str, pulumi.Input[str]],
        s3_port: int,
        memory_limit: int,
        are_targets: bool,
        policies: Mapping[str, k8s.networking.v1.NetworkPolicySpecArgsDict],
        ownership: Ownership,
        image_pull_secrets: Sequence[str],
        pod_annotations: Mapping[str, str],
        identity: Identity,
        needs: Sequence[pulumi.Resource],
        http_secret: pulumi.Input[str],
        htpasswd: pulumi.Input[str] | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "registry:index:Workload",
            name,
            None,
            pulumi.ResourceOptions.merge(pulumi.ResourceOptions(aliases=[_FORMER_TYPE]), opts),
        )
        if warning := warning_about(image):
            pulumi.log.warn(warning, resource=self)

        child = pulumi.ResourceOptions(parent=self)
        removal_seconds = readiness_gates.REMOVAL_SECONDS if are_targets else ENDPOINT_REMOVAL_SECONDS
        deadline_seconds = PROGRESS_DEADLINE_SECONDS + (readiness_gates.REGISTRATION_SECONDS if are_targets else 0)

        # The objects that are not named after what they hold. In another namespace each is another resource, so that a
        # change of the namespace that was broken off can be taken back.
        metadata: k8s.meta.v1.ObjectMetaArgsDict = {
            "name": "kube-registry",
            "namespace": namespace,
            "labels": POD_LABELS,
            "annotations": ownership.annotations,
        }
        prepare = ownership.meet_hands("serviceaccount/kube-registry", {"metadata": metadata})
        service_account = k8s.core.v1.ServiceAccount(
            f"{name}-service-account-{namespace}",
            metadata=metadata,
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(
                parent=self,
                hooks=pulumi.ResourceHookBinding(before_update=prepare),
                aliases=ownership.former_name(
                    "kubernetes:core/v1:ServiceAccount", f"{name}-service-account", namespace=namespace
                ),
            ),
        )

        def secret(role: str, data: Mapping[str, pulumi.Input[str]]) -> pulumi.Output[str]:
            """The name of a Secret. Other values are another Secret of another name, and so a change of the pods."""
            return k8s.core.v1.Secret(
                f"{name}-{role}",
                metadata={
                    "namespace": namespace,
                    "labels": POD_LABELS,
                    "annotations": ownership.annotations,
                },
                immutable=True,
                string_data=data,
                opts=child,
            ).metadata.name

        credentials = identity.of_pods
        if isinstance(credentials, AccessKey):
            key = {"accessKey": credentials.id, "secretKey": credentials.secret}
            credentials = pod_credentials.of_access_key(secret("access-key-secret", key))
        secret_name = secret(
            "secret", {"httpSecret": http_secret, **({} if htpasswd is None else {HTPASSWD_FILE: htpasswd})}
        )
        in_force = network_policies.registered(
            name, namespace, policies, ownership=ownership, opts=pulumi.ResourceOptions(parent=self)
        )
        configuration = k8s.core.v1.ConfigMap(
            f"{name}-storage-check",
            metadata={
                "namespace": namespace,
                "labels": POD_LABELS,
                "annotations": ownership.annotations,
            },
            immutable=True,
            data={storage_check.CONFIGURATION_FILE: storage_check.CONFIGURATION},
            opts=child,
        )
        pod = pod_spec(
            image,
            environment,
            memory_limit=memory_limit,
            removal_seconds=removal_seconds,
            has_users=htpasswd is not None,
            image_pull_secrets=image_pull_secrets,
            storage_check_name=configuration.metadata.name,
            credentials=credentials,
            secret_name=secret_name,
            service_account_name=service_account.metadata.name,
        )

        opts = pulumi.ResourceOptions(parent=self, depends_on=[*needs, *in_force])
        make = self._deployment if controller == "Deployment" else self._replication_controller
        made = make(
            name,
            namespace=namespace,
            replicas=replicas,
            deadline_seconds=deadline_seconds,
            ownership=ownership,
            pod=pod,
            pod_annotations={**pod_annotations, **credentials.annotations} or None,
            opts=opts,
        )
        if controller == "Deployment" and not pulumi.runtime.is_dry_run():
            pulumi.Output.all(made.urn, credentials.id).apply(
                lambda both: former_pods.await_end(namespace, POD_LABELS, both[1], s3_port, removal_seconds)
            )
        self.register_outputs({})

    def _deployment(
        self,
        name: str,
        *,
        namespace: str,
        replicas: int,
        deadline_seconds: int,
        ownership: Ownership,
        pod: k8s.core.v1.PodSpecArgsDict,
        pod_annotations: Mapping[str, pulumi.Input[str]] | None,
        opts: pulumi.ResourceOptions,
    ) -> k8s.apps.v1.Deployment:
        labels = _labels(FIRST_VERSION)
        metadata: k8s.meta.v1.ObjectMetaArgsDict = {
            "name": "kube-registry",
            "namespace": namespace,
            "labels": labels,
            "annotations": ownership.annotations,
        }
        spec: k8s.apps.v1.DeploymentSpecArgsDict = {
            "replicas": replicas,
            "selector": {"match_labels": POD_LABELS},
            "progress_deadline_seconds": deadline_seconds,
            # All at once: while pods with the former HTTP secret and the new one take turns, uploads fail.
            "strategy": {"type": "RollingUpdate", "rolling_update": {"max_surge": "100%", "max_unavailable": 0}},
            "template": {"metadata": {"labels": labels, "annotations": pod_annotations}, "spec": pod},
        }
        prepare = ownership.meet_hands("deployment/kube-registry", {"metadata": metadata, "spec": spec})
        return k8s.apps.v1.Deployment(
            f"{name}-deployment-{namespace}",
            metadata=metadata,
            spec=spec,
            opts=pulumi.ResourceOptions.merge(
                opts,
                pulumi.ResourceOptions(
                    aliases=ownership.former_name(
                        "kubernetes:apps/v1:Deployment", f"{name}-deployment", namespace=namespace
                    ),
                    hooks=pulumi.ResourceHookBinding(
                        before_update=prepare, on_error=[storage_check.explanation(namespace, POD_LABELS)]
                    ),
                    custom_timeouts=_timeouts(deadline_seconds),
                ),
            ),
        )

    def _replication_controller(
        self,
        name: str,
        *,
        namespace: str,
        replicas: int,
        deadline_seconds: int,
        ownership: Ownership,
        pod: k8s.core.v1.PodSpecArgsDict,
        pod_annotations: Mapping[str, pulumi.Input[str]] | None,
        opts: pulumi.ResourceOptions,
    ) -> k8s.core.v1.ReplicationController:
        """A ReplicationController never touches pods that run, so another template gets a successor of another name.

        Pulumi makes the successor, waits for its pods, and then deletes the predecessor. The first template's version
        is `v0`. Each other gets one of its own, a former one that comes back too: of an update that failed the
        predecessor still runs, and is to be deleted.
        """
        template = pulumi.Output.json_dumps({**pod, "annotations": pod_annotations} if pod_annotations else pod)
        keeper = template.apply(lambda text: hashlib.sha256(text.encode()).hexdigest())
        generation = random.RandomId(
            f"{name}-generation-{namespace}",
            byte_length=4,
            keepers={"template": keeper},
            opts=pulumi.ResourceOptions(parent=self),
        ).hex
        first = pulumi.Stash(
            f"{name}-first-template-{namespace}",
            input=generation,
            opts=pulumi.ResourceOptions(  # it keeps the first one whatever comes
                parent=self,
                ignore_changes=["input"],
                aliases=[pulumi.Alias(name=f"{name}-first-template")],
            ),
        )
        version = pulumi.Output.all(generation, first.output).apply(
            lambda both: FIRST_VERSION if both[0] == both[1] else f"v{both[0]}"
        )
        labels = version.apply(_labels)
        metadata: k8s.meta.v1.ObjectMetaArgsDict = {
            "name": version.apply(lambda version: f"kube-registry-{version}"),
            "namespace": namespace,
            "labels": labels,
            # The provider's own wait for ReplicationControllers keeps no timeout.
            "annotations": {
                **ownership.annotations,
                WAIT_FOR: f"jsonpath={{.status.availableReplicas}}={replicas}",
            },
        }
        spec: k8s.core.v1.ReplicationControllerSpecArgsDict = {
            "replicas": replicas,
            "selector": version.apply(lambda version: {**POD_LABELS, "version": version}),
            "template": {"metadata": {"labels": labels, "annotations": pod_annotations}, "spec": pod},
        }
        prepare = ownership.meet_hands("replicationcontroller/kube-registry-v0", {"metadata": metadata, "spec": spec})
        return k8s.core.v1.ReplicationController(
            f"{name}-replication-controller-{namespace}",
            metadata=metadata,
            spec=spec,
            opts=pulumi.ResourceOptions.merge(
                opts,
                pulumi.ResourceOptions(
                    aliases=ownership.former_name(
                        "kubernetes:core/v1:ReplicationController",
                        f"{name}-replication-controller",
                        namespace=namespace,
                    ),
                    hooks=pulumi.ResourceHookBinding(
                        before_update=prepare, on_error=[storage_check.explanation(namespace, POD_LABELS)]
                    ),
                    custom_timeouts=_timeouts(deadline_seconds),
                ),
            ),
        )


def _labels(version: str) -> dict[str, str]:
    return {**POD_LABELS, "version": version, "kubernetes.io/cluster-service": "true"}
