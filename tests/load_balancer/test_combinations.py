"""What does not go together with each kind of load balancer."""

from __future__ import annotations

from typing import Any

import pytest

from registry.load_balancer.annotations import PREFIX
from registry.load_balancer.combinations import mistakes
from registry.load_balancer.kinds import Kind
from registry.settings import AccessLogsSettings, LoadBalancerSettings, Settings

CLOUD = [Kind.CLASSIC, Kind.NETWORK]
OF_A_CLASS = [Kind.CONTROLLER, Kind.AUTO_MODE]


def found(kind: Kind, tls: str = "acm", logs: str | None = None, **balancer: Any) -> list[str]:
    settings = Settings(
        hostname="registry.example.com",
        tls=tls,
        access_logs=AccessLogsSettings(bucket=logs),
        load_balancer=LoadBalancerSettings(**balancer),
    )
    return mistakes(kind, settings)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("tls", ["acm", "none"])
def test_defaults_go_with_every_kind(kind: Kind, tls: str) -> None:
    assert found(kind, tls, logs="logs", internal=True, subnets=["a"]) == []


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("target_type", ["instance", "ip"])
def test_a_target_type_is_for_those_of_a_class(kind: Kind, target_type: str) -> None:
    assert [one.splitlines() for one in found(kind, target_type=target_type)] == (
        []
        if kind in OF_A_CLASS
        else [
            [
                f"  loadBalancer.targetType is '{target_type}', but must be left out for a {kind.value}, "
                "whose targets are nodes.",
                "    Remedy: pulumi config rm --path loadBalancer.targetType, or choose who makes another:",
                "    pulumi config set --path loadBalancer.class service.k8s.aws/nlb",
            ]
        ]
    )


@pytest.mark.parametrize("kind", Kind)
def test_ranges_are_refused_where_nothing_would_keep_anybody_out(kind: Kind) -> None:
    refused = found(kind, allowed_cidrs=["10.0.0.0/8"])
    assert bool(refused) == (kind is Kind.NETWORK)
    assert all("nothing would\n    keep anybody out" in one for one in refused)
    assert all("loadBalancer.type classic" in one for one in refused)


@pytest.mark.parametrize(
    ("kind", "tls", "seconds", "rule"),
    [
        (Kind.CLASSIC, "acm", 1, None),
        (Kind.CLASSIC, "none", 4000, None),
        (Kind.NETWORK, "acm", 351, "be 350 or left out"),
        (Kind.NETWORK, "acm", 350, None),
        (Kind.NETWORK, "none", 900, "be 350 or left out"),
        (Kind.CONTROLLER, "acm", 900, "be 350 or left out"),
        (Kind.CONTROLLER, "none", 900, None),
        (Kind.CONTROLLER, "none", 59, "be at least 60"),
        (Kind.AUTO_MODE, "acm", 4000, "be 350 or left out"),
        (Kind.AUTO_MODE, "none", 900, "be 350 or left out"),
    ],
)
def test_an_idle_timeout_that_is_set_can_be_kept(kind: Kind, tls: str, seconds: int, rule: str | None) -> None:
    refused = found(kind, tls, idle_timeout_seconds=seconds)
    assert len(refused) == (rule is not None)
    for one in refused:
        assert f"loadBalancer.idleTimeoutSeconds is {seconds}, but must {rule}" in one
        assert "pulumi config rm --path loadBalancer.idleTimeoutSeconds" in one


@pytest.mark.parametrize("kind", Kind)
def test_a_security_policy_is_one_of_its_kind(kind: Kind) -> None:
    assert found(kind, ssl_negotiation_policy="ELBSecurityPolicy-2016-08") == []
    (refused,) = found(
        kind,
        ssl_negotiation_policy="ELBSecurityPolicy-2015-02"
        if kind.is_network
        else "ELBSecurityPolicy-TLS13-1-2-2021-06",
    )
    assert f"must be a predefined security policy for a {kind.value}" in refused


@pytest.mark.parametrize(
    ("kind", "name", "rule"),
    [
        (Kind.CLASSIC, f"{PREFIX}internal", "be said by loadBalancer.internal"),
        (Kind.CONTROLLER, f"{PREFIX}scheme", "be said by loadBalancer.internal"),
        (Kind.CLASSIC, f"{PREFIX}type", "be said by loadBalancer.type"),
        (Kind.CONTROLLER, f"{PREFIX}ssl-cert", "be said by tls"),
        (Kind.NETWORK, f"{PREFIX}access-log-enabled", "be said by accessLogs.bucket"),
        (Kind.CONTROLLER, f"{PREFIX}additional-resource-tags", "be said by tags"),
        (Kind.AUTO_MODE, f"{PREFIX}additional-resource-tags", "be none that a network load balancer of EKS Auto Mode"),
        (
            Kind.CLASSIC,
            "service.beta.kubernetes.io/load-balancer-source-ranges",
            "be said by loadBalancer.allowedCidrs",
        ),
        (Kind.CLASSIC, f"{PREFIX}cross-zone-load-balancing-enabled", "not contradict the stack, which sets it itself"),
        (Kind.CLASSIC, f"{PREFIX}backend-protocol", "not contradict the stack"),
        (Kind.CLASSIC, "kube-registry/owner", "be no annotation by which the stack is kept"),
        (Kind.CLASSIC, "pulumi.com/skipAwait", "be no annotation by which the stack is kept"),
        (Kind.CLASSIC, f"{PREFIX}healthcheck-interval", None),
        (Kind.CONTROLLER, f"{PREFIX}eip-allocations", None),
        (Kind.CONTROLLER, "external-dns.alpha.kubernetes.io/ttl", None),
        (Kind.AUTO_MODE, f"{PREFIX}Internal", "be said by loadBalancer.internal"),
        (Kind.CONTROLLER, f"{PREFIX}some-that-is-new", None),
        (
            Kind.CLASSIC,
            f"{PREFIX}some-that-is-new",
            "be one that has an effect on a classic load balancer",
        ),
        (Kind.CONTROLLER, f"{PREFIX}extra-security-groups", "be one that has an effect on a network load balancer of"),
    ],
)
def test_a_further_annotation_says_nothing_that_the_stack_says(kind: Kind, name: str, rule: str | None) -> None:
    refused = found(kind, annotations={name: "5"})
    assert len(refused) == (rule is not None)
    for one in refused:
        assert f"""loadBalancer.annotations["{name}"] is '5', but must {rule}""" in one
        assert f"pulumi config rm --path 'loadBalancer.annotations[\"{name}\"]'" in one


@pytest.mark.parametrize(
    ("kind", "name", "value", "rule"),
    [
        (Kind.CONTROLLER, "target-group-attributes.443", "preserve_client_ip.enabled=true", "not contradict the stack"),
        (Kind.CONTROLLER, "listener-attributes.TLS-443", "tcp.idle_timeout.seconds=900", "be left out with TLS"),
        (Kind.CONTROLLER, "target-group-attributes", "proxy_protocol_v2.enabled=true", "be left out: the registry"),
        (Kind.CLASSIC, "proxy-protocol", "*", "be left out: the registry speaks no PROXY protocol"),
        (Kind.CLASSIC, "target-group-attributes", "deregistration_delay.timeout_seconds=30", "not have deregistration"),
        (Kind.NETWORK, "target-group-attributes", "deregistration_delay.timeout_seconds=30", "not have deregistration"),
        (Kind.NETWORK, "target-group-attributes", "proxy_protocol_v2.enabled=false", None),
        (Kind.CONTROLLER, "target-group-attributes", "stickiness.enabled=true", None),
        (Kind.NETWORK, "target-group-attributes", "proxy_protocol_v2.enabled=True", "be left out: the registry"),
        (Kind.CONTROLLER, "attributes", "deletion_protection.enabled=true", None),
        (Kind.CONTROLLER, "attributes", "nonsense", "be a list of KEY=VALUE"),
        (Kind.AUTO_MODE, "attributes", "deletion_protection.enabled = true", "be a list of KEY=VALUE"),
        (Kind.CLASSIC, "attributes", "deletion_protection.enabled=true", "be one that has an effect on a classic"),
        (Kind.NETWORK, "listener-attributes.TCP-80", "some.attribute=60", "be one that has an effect on a"),
        (Kind.CONTROLLER, "alpn-policy", "HTTP2Only", "not have clients speak HTTP/2"),
        (Kind.CONTROLLER, "alpn-policy", "HTTP1Only", None),
    ],
)
def test_an_entry_that_would_break_something_is_refused(kind: Kind, name: str, value: str, rule: str | None) -> None:
    refused = found(kind, annotations={f"{PREFIX}{name}": value})
    assert [f"but must {rule}" in one for one in refused] == ([True] if rule else [])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.CONTROLLER, "security-groups"),
        (Kind.CLASSIC, "extra-security-groups"),
        (Kind.CONTROLLER, "disable-nlb-sg"),
    ],
)
def test_ranges_are_not_made_void_by_other_groups(kind: Kind, name: str) -> None:
    further = {f"{PREFIX}{name}": "sg-1"}
    assert found(kind, annotations=further) == []
    (refused,) = found(kind, annotations=further, allowed_cidrs=["10.0.0.0/8"])
    assert "must be left out with loadBalancer.allowedCidrs" in refused


def test_an_entry_of_a_list_may_be_added_but_none_that_the_stack_sets() -> None:
    name = f"{PREFIX}target-group-attributes"
    assert found(Kind.CONTROLLER, annotations={name: "proxy_protocol_v2.enabled=false"}) == []
    (refused,) = found(Kind.CONTROLLER, annotations={name: "preserve_client_ip.enabled=true"})
    assert "not contradict the stack, which sets preserve_client_ip.enabled itself" in refused
