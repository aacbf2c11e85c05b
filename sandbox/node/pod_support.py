"""What the node can't honour in a pod's spec; pure. What it does not know is refused, not ignored.

The keys below are every field of PodSpec and Container that the node carries out, or that is others' to carry out
(scheduler, admission, API server), or that makes no difference here (documented in docs/sandbox.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.node.runtime.container import CAPABILITIES

ANY = object()
"""Stands for any value in the tables of what is supported."""

PROBE = {
    "httpGet": {"path": ANY, "port": ANY, "scheme": ANY, "httpHeaders": ANY},
    "tcpSocket": {"port": ANY},
    "exec": ANY,
    "initialDelaySeconds": ANY,
    "periodSeconds": ANY,
    "timeoutSeconds": ANY,
    "successThreshold": ANY,
    "failureThreshold": ANY,
    "terminationGracePeriodSeconds": ANY,
}
USER = {"runAsUser": ANY, "runAsGroup": ANY, "runAsNonRoot": ANY, "seccompProfile": {"type": ("RuntimeDefault",)}}
CONTAINER = {
    **dict.fromkeys(("name", "image", "imagePullPolicy", "command", "args", "workingDir", "env", "envFrom"), ANY),
    "resources": {"requests": ANY, "limits": ANY},
    "ports": {"name": ANY, "containerPort": ANY, "protocol": ("TCP",)},
    "volumeMounts": {"name": ANY, "mountPath": ANY, "readOnly": ANY},
    "livenessProbe": PROBE,
    "readinessProbe": PROBE,
    "startupProbe": PROBE,
    "lifecycle": {"preStop": {"exec": ANY, "sleep": ANY, "httpGet": PROBE["httpGet"]}},
    "terminationMessagePath": ANY,
    "terminationMessagePolicy": ("File",),
    "securityContext": {
        **USER,
        "readOnlyRootFilesystem": ANY,
        "allowPrivilegeEscalation": ANY,
        "privileged": (False,),
        "capabilities": {"drop": ANY, "add": tuple(CAPABILITIES)},
    },
}
VOLUME_SOURCES = {
    "secret": ANY,
    "configMap": ANY,
    "emptyDir": ANY,
    "downwardAPI": {"items": {"path": ANY, "fieldRef": ANY, "mode": ANY}, "defaultMode": ANY},
}
OTHERS = (
    *("nodeName", "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "schedulerName"),
    *("priority", "priorityClassName", "preemptionPolicy", "overhead"),
    *("serviceAccount", "serviceAccountName", "automountServiceAccountToken", "imagePullSecrets"),
    *("restartPolicy", "terminationGracePeriodSeconds", "enableServiceLinks", "hostname", "subdomain"),
    *("dnsPolicy", "dnsConfig"),
)
POD = {
    **dict.fromkeys(OTHERS, ANY),
    "securityContext": {**USER, "fsGroup": ANY, "fsGroupChangePolicy": ANY},
    "os": {"name": ("linux",)},
    "hostNetwork": (False,),
    "hostPID": (False,),
    "hostIPC": (False,),
    "shareProcessNamespace": (False,),
    "containers": CONTAINER,
    "volumes": {
        "name": ANY,
        **VOLUME_SOURCES,
        "projected": {
            "defaultMode": ANY,
            "sources": {
                **{name: source for name, source in VOLUME_SOURCES.items() if name != "emptyDir"},
                "serviceAccountToken": ANY,
            },
        },
    },
}


def unsupported(spec: Mapping[str, Any]) -> list[str]:
    """Return the fields of a pod's `spec` (as JSON) that the node can't honour, as paths with their values."""
    return list(_unknown(spec, POD, "spec"))


def _unknown(value: Any, supported: Any, path: str) -> Iterator[str]:
    if supported is ANY or value in (None, {}, []):
        return
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from _unknown(one, supported, f"{path}[{number}]")
    elif isinstance(supported, tuple):
        if value not in supported:
            yield f"{path}: {value} (supported: {', '.join(map(str, supported))})"
    else:
        for name, inner in value.items():
            if name in supported:
                yield from _unknown(inner, supported[name], f"{path}.{name}")
            elif inner is not None:
                yield f"{path}.{name}"
