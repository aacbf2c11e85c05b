"""How clients reach the registry by its name."""

from __future__ import annotations

from typing import Any

import pytest

from registry.live_objects import OWNER
from registry.settings import SettingsError
from tests.forms import POST
from tests.mock_engine import Deploy

CONTROLLER_CLASS = "service.k8s.aws/nlb"

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
    "scheme": "internet-facing",
    "internal": "false",
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
    assert deployed.named("registry-certificate-validation-record-registry.example.com") == {
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
            "scheme": "internal",
            "connection-idle-timeout": "4000",
            "ssl-negotiation-policy": "ELBSecurityPolicy-2016-08",
        }.items()
    )


@pytest.mark.parametrize("settings", [{}, POST])
def test_the_load_balancer_leads_to_the_registrys_port_only(deploy: Deploy, settings: dict[str, Any]) -> None:
    assert [port["targetPort"] for port in deploy(**settings).one("Service")["spec"]["ports"]] == [5000]


def test_the_alias_points_at_the_load_balancer_with_the_load_balancers_own_zone(deploy: Deploy) -> None:
    assert deploy().named("registry-record-registry.example.com") == {
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


def test_the_zone_of_the_alias_is_that_of_the_name_that_the_load_balancer_was_given(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "k8s-kubesyst-kubeRegi-0123456789-0123456789abcdef.elb.eu-west-1.amazonaws.com"
    monkeypatch.setattr("tests.mock_engine.LOAD_BALANCER_HOSTNAME", name)
    (alias,) = deploy().named("registry-record-registry.example.com")["aliases"]
    assert (alias["name"], alias["zoneId"]) == (name, "zone of network load balancers in eu-west-1")


def test_the_zone_is_looked_up_where_the_settings_say(deploy: Deploy) -> None:
    settings = {"hostname": "registry.team.example.com", "zone": "example.com", "privateZone": True}
    lookups = deploy(**settings, tls="none").engine.calls
    assert ("aws:route53/getZone:getZone", {"name": "example.com", "privateZone": True}) in lookups


def test_a_zone_that_is_given_by_its_id_is_not_looked_up_by_its_name(deploy: Deploy) -> None:
    deployed = deploy(zoneId="Z0123456789ABCDEFGHIJ")
    assert deployed.named("registry-record-registry.example.com")["zoneId"] == "Z0123456789ABCDEFGHIJ"
    assert (
        deployed.named("registry-certificate-validation-record-registry.example.com")["zoneId"]
        == "Z0123456789ABCDEFGHIJ"
    )
    assert "aws:route53/getZone:getZone" not in [token for token, _ in deployed.engine.calls]


def test_a_certificate_that_acm_does_not_issue_is_waited_for_twenty_minutes_not_seventy_five(deploy: Deploy) -> None:
    assert deploy().options["registry-certificate-validation"].create_timeout == "20m"


HOSTNAME, OTHER = "registry.example.com", "images.example.com"


def test_further_hostnames_have_a_record_each_and_stand_on_the_certificate(deploy: Deploy) -> None:
    deployed = deploy(hostnames=[OTHER])
    records = {resource.inputs["name"]: resource.inputs for resource in deployed.all("Record")}
    assert records.keys() == {
        "registry.example.com",
        OTHER,
        "_proof.registry.example.com.",
        f"_proof.{OTHER}.",
    }
    assert records[OTHER]["aliases"] == records["registry.example.com"]["aliases"]
    assert deployed.one("Certificate")["domainName"] == "registry.example.com"
    assert deployed.one("Certificate")["subjectAlternativeNames"] == ["registry.example.com", OTHER]
    assert deployed.one("CertificateValidation")["validationRecordFqdns"] == [
        "_proof.registry.example.com.",
        f"_proof.{OTHER}.",
    ]


def test_the_records_of_a_stack_from_before_there_were_several_are_taken_over_by_their_hostname(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def former_names(**settings: Any) -> dict[str, set[str]]:
        options = deploy(**settings).options
        return {name: options[name].aliases for name in options if "record" in name and options[name].aliases}

    assert former_names() == {}
    record = {"type": "aws:route53/record:Record", "name": "registry-record", "outputs": {"name": HOSTNAME}}
    certificate = {
        "type": "aws:acm/certificate:Certificate",
        "name": "registry-certificate",
        "outputs": {"domainName": HOSTNAME},
    }
    monkeypatch.setattr("tests.mock_engine.STATE", [record, certificate])
    single = {"registry-record", "registry-certificate-validation-record"}
    expected = {f"{name}-registry.example.com": {name} for name in single}
    assert former_names() == expected
    assert former_names(hostname=OTHER, hostnames=[HOSTNAME]) == expected
    assert former_names(hostname=OTHER) == {}


def test_the_service_is_made_when_pods_are_ready_and_another_scheme_replaces_it(deploy: Deploy) -> None:
    options = deploy().options["registry-service-kube-system"]
    assert "registry-deployment-kube-system" in options.depends_on
    assert (options.replacement_trigger, options.replace_on_changes) == (["CLASSIC", "public"], [])
    assert options.delete_before_replace
    internal = deploy(loadBalancer={"internal": True, "class": "service.k8s.aws/nlb"})
    assert internal.options["registry-service-kube-system"].replacement_trigger == ["CONTROLLER", "internal"]


CLASS, NETWORK = {"class": "service.k8s.aws/nlb"}, {"type": "network"}


@pytest.mark.parametrize(
    ("spec", "annotations", "balancer", "replaces"),
    [
        ({}, {}, {}, False),
        ({}, {}, {"internal": True}, True),
        ({}, {}, CLASS, True),
        ({}, {}, NETWORK, True),
        ({}, {"internal": "true"}, {"internal": True}, False),
        ({}, {"internal": "true"}, {}, True),
        # Of an update that failed at the alias, as the controller's webhook had taken the Service and made it internal.
        ({"loadBalancerClass": "service.k8s.aws/nlb"}, {}, {}, True),
        ({"loadBalancerClass": "service.k8s.aws/nlb"}, {"scheme": "internet-facing"}, {}, False),
    ],
)
def test_who_makes_it_and_scheme_replace_the_service_of_a_stack_from_before_there_was_a_trigger(
    deploy: Deploy,
    monkeypatch: pytest.MonkeyPatch,
    *,
    spec: dict[str, Any],
    annotations: dict[str, str],
    balancer: dict[str, Any],
    replaces: bool,
) -> None:
    named = {f"{ANNOTATION}{name}": value for name, value in annotations.items()}
    outputs = {"metadata": {"namespace": "kube-system", "annotations": named}, "spec": spec}
    service = {"type": "kubernetes:core/v1:Service", "name": "registry-service-kube-system", "outputs": outputs}
    monkeypatch.setattr("tests.mock_engine.STATE", [service])
    monkeypatch.setattr("tests.mock_engine.LAST_OUTPUTS", {"bucketName": "images"})
    options = deploy(loadBalancer=balancer).options["registry-service-kube-system"]
    assert bool(options.replace_on_changes) == replaces


def test_access_logs_of_the_load_balancer_go_where_the_settings_say(deploy: Deploy) -> None:
    annotations = balancer_annotations(deploy(accessLogs={"bucket": "logs"}).one("Service"))
    assert {name: value for name, value in annotations.items() if name.startswith("access-log")} == {
        "access-log-enabled": "true",
        "access-log-emit-interval": "60",
        "access-log-s3-bucket-name": "logs",
        "access-log-s3-bucket-prefix": "registry.example.com/load-balancer",
    }


def test_each_update_of_a_registry_that_is_open_to_everyone_warns_of_it(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    deploy(users=[], loadBalancer={"internal": True})
    assert warnings == []
    deploy(**POST)
    assert warnings == ["registry.example.com: everyone on the internet may push and pull (anonymousPush)"]


def test_a_new_stack_takes_the_class_that_the_cluster_gives_and_says_so(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    monkeypatch.setattr("pulumi.log.info", notes.append)
    assert "loadBalancerClass" not in deploy().one("Service")["spec"]
    assert notes == []
    monkeypatch.setattr("tests.mock_engine.GIVEN_CLASS", "service.k8s.aws/nlb")
    service = deploy().one("Service")
    assert service["spec"]["loadBalancerClass"] == "service.k8s.aws/nlb"
    assert balancer_annotations(service)["nlb-target-type"] == "instance"
    assert "loadBalancer.class is not set: the Service gets the class service.k8s.aws/nlb" in notes[0]


def test_a_living_service_keeps_its_class_where_a_controller_is_installed_later(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = {"annotations": {OWNER: "acme/registry/test id of registry-stack-id"}, "namespace": "kube-system"}
    objects = {"service/kube-registry": {"metadata": metadata, "spec": {}, "status": {}}}
    monkeypatch.setattr("tests.mock_engine.LIVE_OBJECTS", objects)
    monkeypatch.setattr("tests.mock_engine.GIVEN_CLASS", "service.k8s.aws/nlb")
    deployed = deploy()
    assert "loadBalancerClass" not in deployed.one("Service")["spec"]
    assert deployed.options["registry-service-kube-system"].replacement_trigger == ["CLASSIC", "public"]


@pytest.mark.parametrize(
    ("preview", "set_", "unknown"),
    [(True, CONTROLLER_CLASS, {"clusterIP"}), (True, None, set()), (False, CONTROLLER_CLASS, set())],
)
def test_a_preview_does_not_try_another_class_on_the_living_service(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, preview: bool, set_: str | None, unknown: set[str]
) -> None:
    metadata = {"annotations": {OWNER: "acme/registry/test id of registry-stack-id"}, "namespace": "kube-system"}
    objects = {"service/kube-registry": {"metadata": metadata, "spec": {}, "status": {}}}
    monkeypatch.setattr("tests.mock_engine.LIVE_OBJECTS", objects)
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: preview)
    deployed = deploy(loadBalancer={"class": set_} if set_ else {})
    assert deployed.options["registry-service-kube-system"].unknown_in_spec == unknown


def test_a_service_that_its_controller_refused_is_warned_of(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text, **_: warnings.append(text))
    event = {"reason": "FailedBuildModel", "message": "no such subnet", "lastTimestamp": "2026-11-27T09:00:00Z"}
    monkeypatch.setattr("tests.mock_engine.EVENTS", [event])
    deploy()
    assert warnings == []
    metadata = {"annotations": {OWNER: "acme/registry/test id of registry-stack-id"}, "namespace": "kube-system"}
    objects = {"service/kube-registry": {"metadata": metadata, "spec": {}, "status": {}}}
    monkeypatch.setattr("tests.mock_engine.LIVE_OBJECTS", objects)
    deploy()
    assert "its controller refused it, FailedBuildModel: no such subnet" in warnings[0]


def test_what_does_not_go_with_the_load_balancer_is_told_with_all_other_mistakes(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.mock_engine.AWS", {"getZone": "no matching Route 53 Hosted Zone found"})
    with pytest.raises(SettingsError) as refusal:
        deploy(loadBalancer={"type": "network", "allowedCidrs": ["10.0.0.0/8"], "idleTimeoutSeconds": 900})
    assert "has 3 mistakes" in str(refusal.value)
