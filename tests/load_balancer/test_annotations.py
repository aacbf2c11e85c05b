"""What each controller is told about the load balancer, side by side."""

from __future__ import annotations

from typing import Any

import pytest

from registry.load_balancer.annotations import PREFIX, service_annotations
from registry.load_balancer.kinds import Kind
from registry.settings import AccessLogsSettings, LoadBalancerSettings


def told(kind: Kind, *, tls: bool = True, logs: str | None = None, **settings: Any) -> dict[str, str]:
    """The annotations by what stands behind PREFIX, where they have that."""
    made = service_annotations(
        kind,
        LoadBalancerSettings(**settings),
        tags={"stack": "prod"},
        certificate_arn="the certificate" if tls else None,
        access_logs=AccessLogsSettings(bucket=logs),
        access_log_prefix="registry.example.com/load-balancer",
    )
    return {name.removeprefix(PREFIX): value for name, value in made.items()}


PUBLIC = {"scheme": "internet-facing", "internal": "false"}
TAGS = {"additional-resource-tags": "stack=prod"}
CROSS_ZONE = {"cross-zone-load-balancing-enabled": "true"}
CERTIFICATE = {"ssl-cert": "the certificate", "ssl-ports": "443"}
NETWORK_POLICY = {"ssl-negotiation-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06"}

EACH = {
    Kind.CLASSIC: PUBLIC
    | TAGS
    | CROSS_ZONE
    | {"connection-idle-timeout": "900", "connection-draining-enabled": "true", "connection-draining-timeout": "300"},
    Kind.NETWORK: PUBLIC
    | TAGS
    | CROSS_ZONE
    | {"type": "nlb", "target-group-attributes": "preserve_client_ip.enabled=false"},
    Kind.CONTROLLER: PUBLIC
    | TAGS
    | {
        "nlb-target-type": "instance",
        "attributes": "load_balancing.cross_zone.enabled=true",
        "target-group-attributes": "preserve_client_ip.enabled=false,deregistration_delay.timeout_seconds=300",
    },
    Kind.AUTO_MODE: PUBLIC
    | {
        "nlb-target-type": "instance",
        "attributes": "load_balancing.cross_zone.enabled=true",
        "target-group-attributes": "preserve_client_ip.enabled=false",
    },
}


@pytest.mark.parametrize("kind", Kind)
def test_without_tls(kind: Kind) -> None:
    idle = {"listener-attributes.TCP-80": "tcp.idle_timeout.seconds=900"} if kind is Kind.CONTROLLER else {}
    assert told(kind, tls=False) == EACH[kind] | idle


@pytest.mark.parametrize("kind", Kind)
def test_with_a_certificate(kind: Kind) -> None:
    policy = NETWORK_POLICY if kind.is_network else {"ssl-negotiation-policy": "ELBSecurityPolicy-TLS-1-2-2017-01"}
    backend = {"backend-protocol": "http"} if kind is Kind.CLASSIC else {}
    assert told(kind) == EACH[kind] | CERTIFICATE | policy | backend


@pytest.mark.parametrize("kind", Kind)
def test_internal_is_said_in_both_ways(kind: Kind) -> None:
    assert told(kind, internal=True).items() >= {"scheme": "internal", "internal": "true"}.items()


@pytest.mark.parametrize("kind", Kind)
def test_what_is_set_is_passed_on(kind: Kind) -> None:
    further = {"example.com/other": "x", f"{PREFIX}eip-allocations": "eipalloc-1"}
    found = told(kind, subnets=["a", "b"], annotations=further, ssl_negotiation_policy="ELBSecurityPolicy-2016-08")
    assert found["subnets"] == "a,b"
    assert (found["example.com/other"], found["eip-allocations"]) == ("x", "eipalloc-1")
    assert found["ssl-negotiation-policy"] == "ELBSecurityPolicy-2016-08"


def test_targets_of_a_class_may_be_pods() -> None:
    assert told(Kind.CONTROLLER, target_type="ip")["nlb-target-type"] == "ip"


def test_entries_that_are_set_come_beside_the_stacks_own() -> None:
    attributes = {f"{PREFIX}attributes": "deletion_protection.enabled=true"}
    assert (
        told(Kind.CONTROLLER, annotations=attributes)["attributes"]
        == "load_balancing.cross_zone.enabled=true,deletion_protection.enabled=true"
    )


def test_the_cloud_controller_has_annotations_for_access_logs_and_the_others_attributes() -> None:
    ours = {
        "access-log-enabled": "true",
        "access-log-emit-interval": "60",
        "access-log-s3-bucket-name": "logs",
        "access-log-s3-bucket-prefix": "registry.example.com/load-balancer",
    }
    for kind in (Kind.CLASSIC, Kind.NETWORK):
        assert told(kind, logs="logs").items() >= ours.items()
    for kind in (Kind.CONTROLLER, Kind.AUTO_MODE):
        assert told(kind, logs="logs")["attributes"] == (
            "load_balancing.cross_zone.enabled=true,access_logs.s3.enabled=true,access_logs.s3.bucket=logs,"
            "access_logs.s3.prefix=registry.example.com/load-balancer"
        )
