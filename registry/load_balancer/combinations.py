"""What does not go together: settings and the kind of load balancer in, mistakes out. It imports no Pulumi resource.

Only what somebody has set is a mistake: a default follows the kind silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from registry.load_balancer.annotations import PREFIX, entries, is_list, service_annotations
from registry.load_balancer.kinds import Kind
from registry.load_balancer.known_annotations import is_read
from registry.settings import Settings, told
from registry.settings.tls_policies import CLASSIC_TLS_POLICIES, NETWORK_TLS_POLICY

FIXED_IDLE_SECONDS, LEAST_IDLE_SECONDS = 350, 60
"""A TLS listener's idle timeout, and the least of a TCP listener:
docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html"""

_SETTINGS = {
    "access-log-": "accessLogs.bucket",
    "additional-resource-tags": "tags",
    "connection-idle-timeout": "loadBalancer.idleTimeoutSeconds",
    "internal": "loadBalancer.internal",
    "nlb-target-type": "loadBalancer.targetType",
    "scheme": "loadBalancer.internal",
    "ssl-cert": "tls",
    "ssl-negotiation-policy": "loadBalancer.sslNegotiationPolicy",
    "ssl-ports": "tls",
    "subnets": "loadBalancer.subnets",
    "type": "loadBalancer.type",
    "service.beta.kubernetes.io/load-balancer-source-ranges": "loadBalancer.allowedCidrs",
}
"""The settings that say what these annotations would, by their names, where these begin with PREFIX without that."""
_OTHER_GROUPS = ("security-groups", "extra-security-groups", "disable-nlb-sg", "security-group-prefix-lists")
"""With these ranges count for nothing, or not alone."""
_TARGETS = {"preserve_client_ip.enabled", "proxy_protocol_v2.enabled"}
"""The attributes of target groups that the cloud controller knows: any other is an error, and all are with a classic
load balancer (pkg/providers/v1/aws_validations.go)."""
_ENTRY = re.compile(r"[A-Za-z0-9_.-]+=[^\s,=]*")
_FIXED = {"backend-protocol", "connection-draining-enabled", "connection-draining-timeout"}
_RESERVED = ("pulumi.com/", "kube-registry/")
_NOT_IN_AUTO_MODE = {"proxy-protocol", "cross-zone-load-balancing-enabled", "additional-resource-tags"}
"""docs.aws.amazon.com/eks/latest/userguide/auto-configure-nlb.html; tags need rights of the cluster's IAM role."""


def mistakes(kind: Kind, settings: Settings) -> list[str]:
    """All that is set and cannot be for this kind, in the words of the settings' errors."""
    return [*_of_targets(kind, settings), *_of_timeouts(kind, settings), *_of_annotations(kind, settings)]


def _of_targets(kind: Kind, settings: Settings) -> Iterator[str]:
    balancer = settings.load_balancer
    if balancer.target_type and kind.service_class is None:
        yield told(
            "loadBalancer.targetType",
            balancer.target_type,
            f"be left out for a {kind.value}, whose targets are nodes",
            "pulumi config rm --path loadBalancer.targetType, or choose who makes another:\n"
            "    pulumi config set --path loadBalancer.class service.k8s.aws/nlb",
        )
    if balancer.allowed_cidrs and kind is Kind.NETWORK:
        yield told(
            "loadBalancer.allowedCidrs",
            balancer.allowed_cidrs,
            f"be left out for a {kind.value}: nodes see its own addresses in place of the clients', so nothing would\n"
            "    keep anybody out",
            "pulumi config set --path loadBalancer.type classic, or loadBalancer.class service.k8s.aws/nlb where that\n"
            "    controller is installed; else pulumi config rm --path loadBalancer.allowedCidrs",
        )


def _of_timeouts(kind: Kind, settings: Settings) -> Iterator[str]:
    balancer = settings.load_balancer
    seconds, policy = balancer.idle_timeout_seconds, balancer.ssl_negotiation_policy
    if kind.is_network and "idle_timeout_seconds" in balancer.model_fields_set:
        can_set = kind is Kind.CONTROLLER and settings.tls == "none"
        remove = "pulumi config rm --path loadBalancer.idleTimeoutSeconds"
        if not can_set and seconds != FIXED_IDLE_SECONDS:
            why = "which tells AWS none" if settings.tls == "none" else "whose TLS listeners have this and no other"
            rule = f"be {FIXED_IDLE_SECONDS} or left out for a {kind.value}, {why}"
            yield told("loadBalancer.idleTimeoutSeconds", seconds, rule, f"{remove}; a classic one takes any")
        elif can_set and seconds < LEAST_IDLE_SECONDS:
            rule = f"be at least {LEAST_IDLE_SECONDS} for a {kind.value}"
            yield told("loadBalancer.idleTimeoutSeconds", seconds, rule, f"{remove}, or set {LEAST_IDLE_SECONDS}")
    is_known = NETWORK_TLS_POLICY.fullmatch(policy or "") if kind.is_network else policy in CLASSIC_TLS_POLICIES
    if policy and not is_known:
        list_ = "aws elbv2 describe-ssl-policies" if kind.is_network else f"one of {', '.join(CLASSIC_TLS_POLICIES)}"
        yield told(
            "loadBalancer.sslNegotiationPolicy",
            policy,
            f"be a predefined security policy for a {kind.value}",
            f"pulumi config rm --path loadBalancer.sslNegotiationPolicy, or choose {list_}",
        )


def _of_annotations(kind: Kind, settings: Settings) -> Iterator[str]:
    made = service_annotations(
        kind,
        settings.load_balancer.model_copy(update={"annotations": {}}),
        tags={},
        certificate_arn=None if settings.tls == "none" else "",
        access_logs=settings.access_logs,
        access_log_prefix="",
    )
    for key, value in settings.load_balancer.annotations.items():
        name = key.removeprefix(PREFIX)
        refusal = _contradiction(kind, key, value, made)
        if settings.load_balancer.allowed_cidrs and name in _OTHER_GROUPS:
            refusal = "be left out with loadBalancer.allowedCidrs, which would not be all that admits", ""
        elif settings.tls != "none" and "tcp.idle_timeout.seconds" in value and name.startswith("listener-"):
            refusal = f"be left out with TLS, behind which {FIXED_IDLE_SECONDS} seconds are fixed", ""
        if refusal:
            rule, remedy = refusal
            command = f"pulumi config rm --path 'loadBalancer.annotations[\"{key}\"]'"
            yield told(f'loadBalancer.annotations["{key}"]', value, rule, f"{command}{remedy}")


def _contradiction(kind: Kind, key: str, value: str, made: dict[str, str]) -> tuple[str, str] | None:
    """The rule that an annotation breaks, and what the remedy has beside the command that takes it out."""
    name, is_balancers = key.removeprefix(PREFIX), key.startswith(PREFIX)
    setting = _SETTINGS.get(key) or next((one for start, one in _SETTINGS.items() if _is(name.lower(), start)), None)
    if key.startswith(_RESERVED):
        return "be no annotation by which the stack is kept", ""
    if kind is Kind.AUTO_MODE and name in _NOT_IN_AUTO_MODE:
        return f"be none that a {kind.value} does not keep", ""
    if setting:
        return f"be said by {setting}", f", and set {setting}"
    if name.startswith("proxy-protocol") or "proxy_protocol_v2.enabled=true" in value.lower():
        return "be left out: the registry speaks no PROXY protocol, and would refuse every request", ""
    if name == "alpn-policy" and "HTTP2" in value.upper():
        return "not have clients speak HTTP/2, which would come to the registry as it is, and it speaks HTTP/1.1", ""
    rule = _list_rule(kind, key, value, made) if is_balancers and is_list(name) else None
    if (key in made and not is_list(name)) or name in _FIXED:
        rule = "not contradict the stack, which sets it itself"
    if not rule and is_balancers and not is_read(kind, name):
        rule = f"be one that has an effect on a {kind.value}, and whoever makes it does not read this one"
    return (rule, "") if rule else None


def _list_rule(kind: Kind, key: str, value: str, made: dict[str, str]) -> str | None:
    """The rule that a list of KEY=VALUE breaks, which may be that of one port."""
    name, found = key.removeprefix(PREFIX), entries(value)
    if not all(_ENTRY.fullmatch(entry) for entry in value.split(",")):
        return (
            "be a list of KEY=VALUE with commas between and no spaces, as any other stops all changes of the balancer"
        )
    if name.startswith("target-group-attributes") and not kind.service_class:
        known = _TARGETS if kind is Kind.NETWORK else set()
        if unknown := found.keys() - known:
            return f"not have {', '.join(sorted(unknown))}, which is an error to a {kind.value}"
    if taken := entries(made.get(re.sub(r"\.\d+$", "", key), "")).keys() & found.keys():
        return f"not contradict the stack, which sets {', '.join(sorted(taken))} itself"
    return None


def _is(name: str, setting: str) -> bool:
    return name == setting or (setting.endswith("-") and name.startswith(setting))
