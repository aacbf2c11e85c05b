"""The storage check: what a pod has to pass before it takes part, made by the registry itself, in an init container.

The registry's first look at S3 has no time limit, and until it returns the registry says that all is well. So a pod
whose packets are dropped would take part for two minutes, in which the roll ends every pod that works. The check is
`registry garbage-collect --dry-run` on a prefix of its own: a listing and a look at two objects, by the pod's own
identity, image, environment and network. It ends with 0 if S3 answers, and with 1 and S3's words if it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pulumi
import pulumi_aws as aws

from registry import cluster
from registry.environment import ROOT_DIRECTORY_VARIABLE

if TYPE_CHECKING:
    import pulumi_kubernetes as k8s

PREFIX = "kube-registry/storage-check"
"""In the bucket, beside the registry's own `docker/registry/v2`."""
PATHS = ("repositories", "blobs")
"""Where the registry looks: without something in both, 2.8.3 takes the storage for broken (tried, as 3.1.2)."""
CONTAINER = "storage-check"
CONFIGURATION_DIRECTORY = "/etc/kube-registry"
CONFIGURATION_FILE = "config.yml"
CONFIGURATION = "version: 0.1\nstorage: {s3: {}}\n"
"""The image's own, which has another path in each release, is not needed: the environment says all that counts."""

_NO_CREDENTIALS = ("WebIdentityErr", "CredentialsEndpointError", "NoCredentialProviders")
"""What the SDK says when a pod gets no role: aws-sdk-go 1.55, aws/credentials."""
_NEVER_READY = "failed to fully initialize or become live"
"""What the provider says of an object that was made or changed, and did not come up in time (provider.go)."""

Text = TypeVar("Text")


def objects(name: str, bucket: pulumi.Input[str], opts: pulumi.ResourceOptions) -> list[aws.s3.BucketObjectv2]:
    """Make what the check looks at."""
    return [
        aws.s3.BucketObjectv2(
            f"{name}-storage-check-{path}",
            bucket=bucket,
            key=f"{PREFIX}/docker/registry/v2/{path}/storage-check",
            content="The registry's pods look at this before they take part.\n",
            opts=opts,
        )
        for path in PATHS
    ]


def environment(variables: Mapping[str, Text]) -> dict[str, str | Text]:
    """Of the registry's environment, what the check needs; with its prefix in place of the bucket's root."""
    kept = {name: value for name, value in variables.items() if name.startswith(("REGISTRY_STORAGE", "AWS_", "OTEL_"))}
    return {**kept, ROOT_DIRECTORY_VARIABLE: f"/{PREFIX}"}


def container(
    image: str,
    env: Sequence[k8s.core.v1.EnvVarArgsDict],
    mounts: Sequence[k8s.core.v1.VolumeMountArgsDict],
    security_context: k8s.core.v1.SecurityContextArgsDict,
) -> k8s.core.v1.ContainerArgsDict:
    """The init container; `env` has `environment` and the credentials' variables, `mounts` their volumes."""
    return {
        "name": CONTAINER,
        "image": image,
        "args": ["garbage-collect", "--dry-run", f"{CONFIGURATION_DIRECTORY}/{CONFIGURATION_FILE}"],
        "env": env,
        "volume_mounts": [
            {"name": CONTAINER, "mount_path": CONFIGURATION_DIRECTORY, "read_only": True},
            *mounts,
        ],
        "termination_message_policy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "security_context": security_context,
    }


def explanation(namespace: str, labels: Mapping[str, str]) -> pulumi.ErrorHook:
    """Tells what S3 has to do with it when the pods of an update never took part: Pulumi names the container only.

    The pods are those of the namespace with these labels.
    """

    def explain(failed: pulumi.ErrorHookArgs) -> bool:
        # At a preview, at a deletion, or if the API server refuses the object, no pod is waited for.
        if pulumi.runtime.is_dry_run() or not any(_NEVER_READY in error for error in failed.errors):
            return False
        try:
            reason = failure(cluster.pods(namespace, labels))
        except cluster.ClusterError as error:
            reason = f"what keeps them was not looked at: {error}"
        if reason:
            pulumi.log.error(
                f"new pods don't take part, so pods that ran before serve on: {reason}.\n"
                "    Remedy: see that bucket, access key or role, bucket.endpoint, security groups and\n"
                "    NetworkPolicies let the pods reach S3, and STS or the Pod Identity Agent, and see the log:\n"
                f"    kubectl logs --namespace {namespace} --selector k8s-app=kube-registry --prefix "
                f"--container {CONTAINER}"
            )
        return False  # no second try

    return pulumi.ErrorHook("explain-storage-check", explain)


def failure(pods: Sequence[Mapping[str, Any]]) -> str | None:
    """What keeps the newest of the pods from taking part, if that is the check; `pods` as the API server gives them."""
    newest = sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True)
    for pod in newest:
        for status in pod.get("status", {}).get("initContainerStatuses", []):
            if status["name"] != CONTAINER or status.get("ready"):
                continue
            states = [status.get("state", {}), status.get("lastState", {})]
            ended = next((state["terminated"] for state in states if state.get("terminated")), None)
            if ended and ended.get("exitCode"):
                return _ending(pod["metadata"]["name"], ended["exitCode"], ended.get("message", ""))
            if any(state.get("running") for state in states):
                return (
                    f"S3, or who gives credentials for it, does not answer the pod {pod['metadata']['name']}, which "
                    f"waits since {status['state']['running']['startedAt']}"
                )
    return None


def _ending(pod: str, code: int, message: str) -> str:
    """What a check says that has ended, on one line: the driver's word of S3's answer, or what came before."""
    words = " ".join(message.rpartition("failed to garbage collect: ")[2].split())
    if any(one in words for one in _NO_CREDENTIALS):
        return f"AWS gives the pod {pod} no credentials: {words.rpartition('s3aws: ')[2]}"
    if "s3aws: " in words:
        return f"S3 refuses the pod {pod}: {words.rpartition('s3aws: ')[2]}"
    return f"the storage check of the pod {pod} ended with {code}: {words or 'its log has the reason'}"
