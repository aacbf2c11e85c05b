"""What the API server asks, or does itself, as objects are written where the controller is installed.

The webhooks are the controller's own. Two policies of the API server stand for webhooks that this release has not, or
not for this cluster: see each.
"""

from __future__ import annotations

import base64
from typing import Any

from sandbox.layout import Layout
from sandbox.load_balancer_controller.files import WEBHOOK_PORT

REGISTRATION = "admissionregistration.k8s.io"
NAME = "aws-load-balancer"
"""What the controller's Helm chart calls its webhook configurations, and begins other names with."""
INJECTION_LABEL = "elbv2.k8s.aws/pod-readiness-gate-inject"
SERVICES_ANNOTATION = "sandbox.test/selected-by"
"""On a pod: the names of the Services that select it, each between commas."""

_SERVICE_CLASS = "mservice.elbv2.k8s.aws"
_SELECTING_SERVICES = "services.mpod.elbv2.k8s.aws"
_READINESS_GATES = "gates.mpod.elbv2.k8s.aws"


def webhooks(layout: Layout) -> list[dict[str, Any]]:
    """Return the configurations of the controller's webhooks, as its Helm chart has them, but the one for pods."""
    bindings = {"apiGroups": ["elbv2.k8s.aws"], "apiVersions": ["v1beta1"], "resources": ["targetgroupbindings"]}
    ingresses = {"apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"], "resources": ["ingresses"]}
    authority = base64.b64encode(layout.authority_certificate.read_bytes()).decode()

    def webhook(name: str, path: str, rule: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": name,
            "clientConfig": {"url": f"https://{layout.address}:{WEBHOOK_PORT}{path}", "caBundle": authority},
            "admissionReviewVersions": ["v1beta1"],
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "rules": [rule | {"operations": ["CREATE", "UPDATE"]}],
        }

    kinds = {
        "Mutating": [
            webhook("mtargetgroupbinding.elbv2.k8s.aws", "/mutate-elbv2-k8s-aws-v1beta1-targetgroupbinding", bindings)
        ],
        "Validating": [
            webhook(
                "vtargetgroupbinding.elbv2.k8s.aws", "/validate-elbv2-k8s-aws-v1beta1-targetgroupbinding", bindings
            ),
            webhook("vingress.elbv2.k8s.aws", "/validate-networking-v1-ingress", ingresses),
        ],
    }
    return [
        {
            "apiVersion": f"{REGISTRATION}/v1",
            "kind": f"{kind}WebhookConfiguration",
            "metadata": {"name": f"{NAME}-webhook"},
            "webhooks": listed,
        }
        for kind, listed in kinds.items()
    ]


def policies() -> list[dict[str, Any]]:
    """Return the policies of the API server, each with its binding."""
    return [*_service_class(), *_readiness_gates()]


def _service_class() -> list[dict[str, Any]]:
    """A Service of type LoadBalancer without a class gets the controller's as it is created.

    So does the controller's own webhook from release 2.5 on, which has this policy's name:
    https://github.com/kubernetes-sigs/aws-load-balancer-controller/blob/v2.5.0/webhooks/core/service_mutator.go
    """
    return _policy(
        _SERVICE_CLASS,
        "services",
        conditions={
            "is-load-balancer": "object.spec.type == 'LoadBalancer'",
            "has-no-class": "!has(object.spec.loadBalancerClass) || object.spec.loadBalancerClass == ''",
        },
        patch="[JSONPatch{op: 'add', path: '/spec/loadBalancerClass', value: 'service.k8s.aws/nlb'}]",
    )


def _readiness_gates() -> list[dict[str, Any]]:
    """In a namespace with the controller's label a pod gets a readiness gate for each TargetGroupBinding of its own.

    So does the controller's webhook for pods, from targets of type `ip` and the selectors of their Services:
    https://github.com/kubernetes-sigs/aws-load-balancer-controller/blob/v2.4.5/pkg/inject/pod_readiness_gate.go
    This release's knows the fields of Kubernetes 1.21 only, and removes all others from every pod that it sees. A
    policy looks at objects of one kind at a time: the first notes the Services on the pod, the second reads the note.
    """
    namespaces = {"namespaceSelector": {"matchLabels": {INJECTION_LABEL: "enabled"}}}
    noted = f"object.?metadata.?annotations[?'{SERVICES_ANNOTATION}'].orValue(',')"
    name = "params.metadata.name + ','"
    key = f"jsonpatch.escapeKey('{SERVICES_ANNOTATION}')"
    gate = "'target-health.elbv2.k8s.aws/' + params.metadata.name"
    added = f"Object.spec.readinessGates{{conditionType: {gate}}}"
    selecting = _policy(
        _SELECTING_SERVICES,
        "pods",
        parameters={"apiVersion": "v1", "kind": "Service"},
        match=namespaces,
        conditions={
            "is-selected": (
                "params.?spec.?selector.orValue({}).size() > 0 && params.spec.selector.all(label,"
                " object.?metadata.?labels[?label].orValue('') == params.spec.selector[label])"
            ),
            "is-not-noted": f"!{noted}.contains(',' + params.metadata.name + ',')",
        },
        patch=(
            "(has(object.metadata.annotations) ? []"
            " : [JSONPatch{op: 'add', path: '/metadata/annotations', value: {}}])"
            f" + [JSONPatch{{op: 'add', path: '/metadata/annotations/' + {key}, value: {noted} + {name}}}]"
        ),
    )
    gates = _policy(
        _READINESS_GATES,
        "pods",
        parameters={"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding"},
        match=namespaces,
        conditions={"has-ip-targets": "params.?spec.?targetType.orValue('') == 'ip'"},
        patch=(
            # No condition: policies are called in any order, and one that was passed over is not called again.
            f"!{noted}.contains(',' + params.spec.serviceRef.name + ',')"
            f" || object.spec.?readinessGates.orValue([]).exists(one, one.conditionType == {gate}) ? []"
            # Not in one: the release's CEL breaks down at a list with something in it.
            " : (has(object.spec.readinessGates) ? []"
            " : [JSONPatch{op: 'add', path: '/spec/readinessGates', value: []}])"
            f" + [JSONPatch{{op: 'add', path: '/spec/readinessGates/-', value: {added}}}]"
        ),
    )
    return [*selecting, *gates]


def _policy(
    name: str,
    resources: str,
    *,
    conditions: dict[str, str],
    patch: str,
    parameters: dict[str, str] | None = None,
    match: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """A policy for `resources` of the core group as they are created, and its binding, for the whole cluster.

    Where the conditions hold `patch`, a CEL expression, is applied; once for each object of the kind `parameters`
    that is in the same namespace.
    """
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resources]}
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {"resourceRules": [rule], **(match or {})},
        "matchConditions": [{"name": key, "expression": expression} for key, expression in conditions.items()],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
    }
    binding: dict[str, Any] = {"policyName": name}
    if parameters:
        spec["paramKind"] = parameters
        binding["paramRef"] = {"selector": {}, "parameterNotFoundAction": "Allow"}
    return [
        {
            "apiVersion": f"{REGISTRATION}/v1beta1",
            "kind": f"MutatingAdmissionPolicy{kind}",
            "metadata": {"name": name},
            "spec": content,
        }
        for kind, content in (("", spec), ("Binding", binding))
    ]
