"""The AWS Load Balancer Controller in front of registry pods: Services as a user writes them, without the stack."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from sandbox.layout import DOMAIN, Layout
from sandbox.lifecycle import Steps, down, up
from sandbox.tools.build import toolchain
from tests import networks
from tests.end_to_end.registry_stack import Sandbox
from tests.waiting import PATIENCE_SECONDS, wait_for

NAMESPACE = "registries"
CLASS = "service.k8s.aws/nlb"
PREFIX = "service.beta.kubernetes.io/aws-load-balancer"
INJECTION_LABEL = "elbv2.k8s.aws/pod-readiness-gate-inject"
REGISTRY_PORT = 5000

Service = Callable[..., str]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    layout, tools = Layout("load-balancer-controller", networks.LOAD_BALANCER_CONTROLLER), toolchain()
    try:
        running = Sandbox(layout, up(layout, tools, Steps(), load_balancer_controller=True), tools)
        namespace = {"name": NAMESPACE, "labels": {INJECTION_LABEL: "enabled"}}
        apply(running, {"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})
        yield running
    finally:
        down(layout)


def apply(sandbox: Sandbox, manifest: dict[str, Any], *arguments: str) -> dict[str, Any]:
    """What the API server makes of the manifest."""
    command = ["apply", "--filename=-", "--output=json", *arguments]
    return json.loads(sandbox.kubectl(*command, stdin=json.dumps(manifest)))


def service(name: str, *, load_balancer_class: str | None = CLASS, **annotations: str) -> dict[str, Any]:
    """The manifest of a Service in front of `registry`; annotations by the end of their names, with underscores."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "annotations": {f"{PREFIX}-{key.replace('_', '-')}": value for key, value in annotations.items()},
        },
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": "registry"},
            "ports": [{"port": 443 if "ssl_cert" in annotations else 80, "targetPort": REGISTRY_PORT}],
        }
        | ({"loadBalancerClass": load_balancer_class} if load_balancer_class else {}),
    }


@pytest.fixture
def expose(sandbox: Sandbox) -> Iterator[Service]:
    """Makes a Service and returns its load balancer's name; in the end it is deleted, and nothing is left in AWS."""
    made: list[str] = []
    before = in_aws(sandbox)

    def make(manifest: dict[str, Any]) -> str:
        name = manifest["metadata"]["name"]
        made.append(name)
        apply(sandbox, manifest)

        def hostname() -> str | None:
            status = sandbox.get("service", name, "--namespace", NAMESPACE)["status"]["loadBalancer"]
            return status["ingress"][0]["hostname"] if "ingress" in status else None

        return wait_for(hostname, f"load balancer of {name}") or ""

    yield make
    for name in made:
        sandbox.kubectl("delete", "service", name, "--namespace", NAMESPACE)
    wait_for(lambda: in_aws(sandbox) == before, "account as it was")


@pytest.fixture
def registry(sandbox: Sandbox) -> Iterator[None]:
    """In the end the registry that the test deploys is deleted, with its pod."""
    yield
    sandbox.kubectl("delete", "deployment", "registry", "--namespace", NAMESPACE, "--cascade=foreground")
    wait_for(lambda: not sandbox.get("pods", "--namespace", NAMESPACE)["items"], "end of the pods")


def deploy_registry(sandbox: Sandbox) -> dict[str, Any]:
    """Deploy the registry, and return its pod once that is ready."""
    labels = {"app": "registry"}
    container = {
        "name": "registry",
        "image": "registry:3.1.2",
        "env": [{"name": "OTEL_TRACES_EXPORTER", "value": "none"}],
        "ports": [{"containerPort": REGISTRY_PORT}],
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    apply(
        sandbox,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "registry", "namespace": NAMESPACE},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        },
    )

    def ready() -> list[dict[str, Any]]:
        pods = sandbox.get("pods", "--namespace", NAMESPACE)["items"]
        return [pod for pod in pods if conditions(pod).get("Ready") == "True"]

    return wait_for(ready, "ready registry")[0]


def conditions(pod: dict[str, Any]) -> dict[str, str]:
    return {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}


def in_aws(sandbox: Sandbox) -> dict[str, Any]:
    """What load balancers leave traces in."""
    elbv2, ec2 = sandbox.aws("elbv2"), sandbox.aws("ec2")
    return {
        "load balancers": elbv2.describe_load_balancers()["LoadBalancers"],
        "target groups": elbv2.describe_target_groups()["TargetGroups"],
        "rules": {
            group["GroupId"]: group["IpPermissions"] for group in ec2.describe_security_groups()["SecurityGroups"]
        },
    }


def described(sandbox: Sandbox, hostname: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The load balancer of that name, its listener, and its target group."""
    elbv2 = sandbox.aws("elbv2")
    (balancer,) = [one for one in elbv2.describe_load_balancers()["LoadBalancers"] if one["DNSName"] == hostname]
    arn = balancer["LoadBalancerArn"]
    (listener,) = elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    (group,) = elbv2.describe_target_groups(LoadBalancerArn=arn)["TargetGroups"]
    return balancer, listener, group


def targets(sandbox: Sandbox, group: dict[str, Any]) -> set[tuple[str, int]]:
    """Those of a target group that are healthy, by id and port."""
    health = sandbox.aws("elbv2").describe_target_health(TargetGroupArn=group["TargetGroupArn"])
    return {
        (one["Target"]["Id"], one["Target"]["Port"])
        for one in health["TargetHealthDescriptions"]
        if one["TargetHealth"]["State"] == "healthy"
    }


def answers(sandbox: Sandbox, url: str) -> bool:
    """Whether the registry answers there, through the edge."""
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": sandbox.layout.edge_url, "https": sandbox.layout.edge_url}
        session.verify = str(sandbox.layout.authority_certificate)
        try:
            response = session.get(f"{url}/v2/", timeout=PATIENCE_SECONDS)
        except requests.RequestException:
            return False
    return (response.status_code, response.json()) == (200, {})


def record(sandbox: Sandbox, name: str, kind: str, value: str, action: str = "UPSERT") -> None:
    entry = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}
    changes = {"Changes": [{"Action": action, "ResourceRecordSet": entry}]}
    sandbox.aws("route53").change_resource_record_sets(HostedZoneId=sandbox.account.zone_id, ChangeBatch=changes)


def issued(sandbox: Sandbox, hostname: str) -> str:
    """A certificate of ACM for the name."""
    acm = sandbox.aws("acm")
    arn = acm.request_certificate(DomainName=hostname, ValidationMethod="DNS")["CertificateArn"]
    (option,) = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
    record(sandbox, option["ResourceRecord"]["Name"], "CNAME", option["ResourceRecord"]["Value"])
    return arn


@pytest.mark.usefixtures("registry")
def test_a_service_with_instance_targets_and_a_certificate_is_reached_by_its_name(
    sandbox: Sandbox, expose: Service
) -> None:
    hostname = f"instance.{DOMAIN}"
    certificate = issued(sandbox, hostname)
    made = expose(
        service(
            "instance",
            scheme="internet-facing",
            ssl_cert=certificate,
            ssl_ports="443",
            target_group_attributes="preserve_client_ip.enabled=false",
        )
    )
    deploy_registry(sandbox)
    balancer, listener, group = described(sandbox, made)
    node_port = sandbox.get("service", "instance", "--namespace", NAMESPACE)["spec"]["ports"][0]["nodePort"]
    assert (balancer["Type"], balancer["Scheme"]) == ("network", "internet-facing")
    assert (listener["Protocol"], listener["Port"]) == ("TLS", 443)
    assert [one["CertificateArn"] for one in listener["Certificates"]] == [certificate]
    wait_for(lambda: targets(sandbox, group) == {(sandbox.account.instance_id, node_port)}, "healthy instance")
    record(sandbox, hostname, "CNAME", made)
    wait_for(lambda: answers(sandbox, f"https://{hostname}"), "answer of the registry")


@pytest.mark.usefixtures("registry")
def test_a_pod_with_ip_targets_is_ready_once_its_target_is_healthy_and_is_reached(
    sandbox: Sandbox, expose: Service
) -> None:
    made = expose(service("ip", scheme="internet-facing", nlb_target_type="ip"))
    pod = deploy_registry(sandbox)
    _, _, group = described(sandbox, made)
    assert targets(sandbox, group) == {(pod["status"]["podIP"], REGISTRY_PORT)}
    (binding,) = sandbox.get("targetgroupbindings", "--namespace", NAMESPACE)["items"]
    gate = f"target-health.elbv2.k8s.aws/{binding['metadata']['name']}"
    assert pod["spec"]["readinessGates"] == [{"conditionType": gate}]
    assert conditions(pod)[gate] == "True"
    assert pod["spec"]["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 1}}}
    wait_for(lambda: answers(sandbox, f"http://{made}"), "answer of the registry")


def test_a_service_without_class_gets_the_controllers_also_in_a_dry_run(sandbox: Sandbox, expose: Service) -> None:
    manifest = service("plain", load_balancer_class=None)
    assert apply(sandbox, manifest, "--dry-run=server")["spec"]["loadBalancerClass"] == CLASS
    balancer, listener, _ = described(sandbox, expose(manifest))
    assert sandbox.get("service", "plain", "--namespace", NAMESPACE)["spec"]["loadBalancerClass"] == CLASS
    assert (balancer["Scheme"], listener["Protocol"], listener["Port"]) == ("internal", "TCP", 80)


@pytest.mark.parametrize(
    "other", [{"type": "ClusterIP"}, {"type": "LoadBalancer", "loadBalancerClass": "a.test/other"}]
)
def test_another_service_is_left_as_it_is(sandbox: Sandbox, other: dict[str, str]) -> None:
    manifest = service("other", load_balancer_class=None)
    manifest["spec"] |= other
    made = apply(sandbox, manifest, "--dry-run=server")["spec"]
    assert made.get("loadBalancerClass") == other.get("loadBalancerClass")


def test_a_target_group_is_bound_once(sandbox: Sandbox, expose: Service) -> None:
    """The API server asks the controller's webhooks."""
    expose(service("bound"))
    (binding,) = sandbox.get("targetgroupbindings", "--namespace", NAMESPACE)["items"]
    again = {key: binding[key] for key in ("apiVersion", "kind", "spec")}
    again["metadata"] = {"name": f"again-{uuid.uuid4().hex[:8]}", "namespace": NAMESPACE}
    with pytest.raises(AssertionError, match=r"vtargetgroupbinding\.elbv2\.k8s\.aws.*already bound"):
        apply(sandbox, again, "--dry-run=server")
