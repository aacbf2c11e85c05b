"""How clients reach the registry by its name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mock_engine import POST, Deploy

ANNOTATION = "service.beta.kubernetes.io/aws-load-balancer-"
CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"


def balancer_annotations(service: dict[str, Any]) -> dict[str, str]:
    """The Service's annotations for the load balancer, by the last part of their names."""
    annotations = service["metadata"]["annotations"].items()
    return {name.removeprefix(ANNOTATION): value for name, value in annotations if name.startswith(ANNOTATION)}


def test_the_service_is_the_posts(deploy: Deploy) -> None:
    service = deploy(**POST).one("Service")
    assert (service["metadata"]["name"], service["metadata"]["namespace"]) == ("kube-registry", "kube-system")
    assert service["metadata"]["labels"] == {
        "k8s-app": "kube-registry",
        "kubernetes.io/cluster-service": "true",
        "kubernetes.io/name": "KubeRegistry",
    }
    assert service["spec"] == {
        "type": "LoadBalancer",
        "selector": {"k8s-app": "kube-registry"},
        "ports": [{"name": "registry", "port": 80, "targetPort": 5000, "protocol": "TCP"}],
    }


FOR_EVERY_BALANCER = {
    "connection-idle-timeout": "900",
    "connection-draining-enabled": "true",
    "connection-draining-timeout": "300",
    "cross-zone-load-balancing-enabled": "true",
    "additional-resource-tags": "project=registry,stack=test,registry=registry.example.com",
}


def test_the_service_of_the_post_gains_time_for_big_layers_and_for_nodes_that_leave_an_even_share_and_tags(
    deploy: Deploy,
) -> None:
    assert balancer_annotations(deploy(**POST).one("Service")) == FOR_EVERY_BALANCER


def test_tls_ends_at_the_load_balancer_on_443_and_80_is_not_served(deploy: Deploy) -> None:
    service = deploy().one("Service")
    assert [port["port"] for port in service["spec"]["ports"]] == [443]
    assert balancer_annotations(service) == FOR_EVERY_BALANCER | {
        "ssl-cert": "arn of registry-certificate",
        "ssl-ports": "443",
        "ssl-negotiation-policy": "ELBSecurityPolicy-TLS-1-2-2017-01",
        "backend-protocol": "http",
    }


def test_the_certificate_is_for_the_hostname_and_proven_by_a_record_in_the_zone(deploy: Deploy) -> None:
    deployed = deploy()
    certificate = deployed.one("Certificate")
    assert (certificate["domainName"], certificate["validationMethod"]) == ("registry.example.com", "DNS")
    assert deployed.named("registry-certificate-validation-record") == {
        "zoneId": "zone of example.com",
        "name": "_proof.registry.example.com.",
        "type": "CNAME",
        "records": ["_value.acm-validations.aws."],
        "ttl": 60,
        "allowOverwrite": True,
    }
    assert deployed.one("CertificateValidation") == {
        "certificateArn": "arn of registry-certificate",
        "validationRecordFqdns": ["_proof.registry.example.com."],
    }


def test_an_existing_certificate_is_used_as_it_is(deploy: Deploy) -> None:
    deployed = deploy(tls=CERTIFICATE)
    assert balancer_annotations(deployed.one("Service"))["ssl-cert"] == CERTIFICATE
    assert deployed.all("Certificate") == deployed.all("CertificateValidation") == []


def test_the_way_in_is_as_set(deploy: Deploy) -> None:
    balancer = {
        "internal": True,
        "allowedCidrs": ["10.0.0.0/8", "203.0.113.7/32"],
        "idleTimeoutSeconds": 4000,
        "sslNegotiationPolicy": "ELBSecurityPolicy-2016-08",
    }
    service = deploy(loadBalancer=balancer).one("Service")
    assert service["spec"]["loadBalancerSourceRanges"] == ["10.0.0.0/8", "203.0.113.7/32"]
    assert (
        balancer_annotations(service).items()
        >= {
            "internal": "true",
            "connection-idle-timeout": "4000",
            "ssl-negotiation-policy": "ELBSecurityPolicy-2016-08",
        }.items()
    )


@pytest.mark.parametrize("settings", [{}, POST])
def test_the_load_balancer_leads_to_the_registrys_port_only(deploy: Deploy, settings: dict[str, Any]) -> None:
    assert [port["targetPort"] for port in deploy(**settings).one("Service")["spec"]["ports"]] == [5000]


def test_the_alias_points_at_the_load_balancer_with_the_load_balancers_own_zone(deploy: Deploy) -> None:
    assert deploy().named("registry-record") == {
        "zoneId": "zone of example.com",
        "name": "registry.example.com",
        "type": "A",
        "aliases": [
            {
                "name": "a1b2.us-east-1.elb.amazonaws.com",
                "zoneId": "zone of classic load balancers",
                "evaluateTargetHealth": False,
            }
        ],
    }


def test_the_zone_is_looked_up_where_the_settings_say(deploy: Deploy) -> None:
    settings = {"hostname": "registry.team.example.com", "zone": "example.com", "privateZone": True}
    lookups = deploy(**settings, tls="none").engine.calls
    assert ("aws:route53/getZone:getZone", {"name": "example.com", "privateZone": True}) in lookups


def test_a_zone_that_is_given_by_its_id_is_not_looked_up_by_its_name(deploy: Deploy) -> None:
    deployed = deploy(zoneId="Z0123456789ABCDEFGHIJ")
    assert deployed.named("registry-record")["zoneId"] == "Z0123456789ABCDEFGHIJ"
    assert deployed.named("registry-certificate-validation-record")["zoneId"] == "Z0123456789ABCDEFGHIJ"
    assert "aws:route53/getZone:getZone" not in [token for token, _ in deployed.engine.calls]


def test_a_certificate_that_acm_does_not_issue_is_waited_for_twenty_minutes_not_seventy_five(deploy: Deploy) -> None:
    assert deploy().options["registry-certificate-validation"].create_timeout == "20m"
