"""Which annotations of a load balancer nobody reads who makes one of a kind, by their names without PREFIX."""

from __future__ import annotations

from registry.load_balancer.kinds import Kind

_SHARED = frozenset(
    {
        "eip-allocations",
        "healthcheck-healthy-threshold",
        "healthcheck-interval",
        "healthcheck-path",
        "healthcheck-port",
        "healthcheck-protocol",
        "healthcheck-timeout",
        "healthcheck-unhealthy-threshold",
        "security-groups",
        "target-group-attributes",
        "target-node-labels",
    }
)
_CLOUD_CONTROLLER_ONLY = frozenset({"access-log-emit-interval", "connection-idle-timeout", "extra-security-groups"})
"""Both: the constants ServiceAnnotation* of the AWS cloud controller, release 1.34, pkg/providers/v1/aws.go, without
those that the stack sets. The controllers of a class know more, and each release some that are new:
kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/"""


def is_read(kind: Kind, name: str) -> bool:
    """Tell whether an annotation has an effect, as far as can be known; it has none on the other kinds."""
    if kind.service_class:
        return name not in _CLOUD_CONTROLLER_ONLY
    return name in _SHARED or name in _CLOUD_CONTROLLER_ONLY
