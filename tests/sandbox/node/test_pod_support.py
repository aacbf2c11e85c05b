from __future__ import annotations

from typing import Any

import pytest

from sandbox.node.pod_support import unsupported


def spec(container: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "registry", "image": "registry:3.1.1"} | (container or {})]} | more


def test_what_a_registry_needs_is_supported() -> None:
    probe = {"httpGet": {"path": "/", "port": "registry", "scheme": "HTTP"}, "periodSeconds": 2}
    container = {
        "ports": [{"name": "registry", "containerPort": 5000, "protocol": "TCP"}],
        "readinessProbe": probe,
        "livenessProbe": {"tcpSocket": {"port": 5000}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
        "volumeMounts": [{"name": "v", "mountPath": "/auth", "readOnly": True}],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    volumes = [
        {"name": "v", "secret": {"secretName": "s", "defaultMode": 288}},
        {
            "name": "token",
            "projected": {
                "defaultMode": 420,
                "sources": [
                    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
                ],
            },
        },
    ]
    context = {"runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 1, "seccompProfile": {"type": "RuntimeDefault"}}
    whole = spec(container, volumes=volumes, securityContext=context, tolerations=[{}], dnsPolicy="ClusterFirst")
    assert unsupported(whole) == []


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        (spec(hostNetwork=True), "spec.hostNetwork"),
        (spec(initContainers=[{"name": "i"}]), "spec.initContainers"),
        (spec(volumes=[{"name": "h", "hostPath": {"path": "/"}}]), "spec.volumes[0].hostPath"),
        (spec(volumes=[{"name": "p", "persistentVolumeClaim": {"claimName": "c"}}]), "spec.volumes[0].persistentV"),
        (spec(runtimeClassName="gvisor"), "spec.runtimeClassName"),
        (spec(activeDeadlineSeconds=5), "spec.activeDeadlineSeconds"),
        (spec(securityContext={"sysctls": [{"name": "a"}]}), "spec.securityContext.sysctls"),
        (spec({"securityContext": {"privileged": True}}), "spec.containers[0].securityContext.privileged: True"),
        (
            spec({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}),
            "spec.containers[0].securityContext.capabilities.add[0]: SYS_ADMIN",
        ),
        (spec({"livenessProbe": {"grpc": {"port": 1}}}), "spec.containers[0].livenessProbe.grpc"),
        (spec({"livenessProbe": {"httpGet": {"host": "h"}}}), "spec.containers[0].livenessProbe.httpGet.host"),
        (spec({"lifecycle": {"postStart": {"exec": {}}}}), "spec.containers[0].lifecycle.postStart"),
        (spec({"ports": [{"containerPort": 1, "hostPort": 1}]}), "spec.containers[0].ports[0].hostPort"),
        (spec({"ports": [{"containerPort": 1, "protocol": "UDP"}]}), "spec.containers[0].ports[0].protocol: UDP"),
        (spec({"volumeMounts": [{"name": "v", "subPath": "a"}]}), "spec.containers[0].volumeMounts[0].subPath"),
        (spec({"tty": True}), "spec.containers[0].tty"),
        (spec(somethingNew=1), "spec.somethingNew"),
    ],
)
def test_what_would_not_be_honoured_is_named(changed: dict[str, Any], where: str) -> None:
    assert [problem for problem in unsupported(changed) if problem.startswith(where)]
