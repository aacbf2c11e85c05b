"""A network load balancer of the AWS cloud controller, and real pods: target health, draining, the node's pulls."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from sandbox.aws.moto_corrections.load_balancers import NETWORK_HOSTED_ZONE_ID
from sandbox.demonstration import Crane
from sandbox.layout import DOMAIN
from tests.end_to_end.images import push_program
from tests.end_to_end.registry_stack import Sandbox
from tests.sandbox.node.node_sandbox import deployment, pod, registry
from tests.waiting import wait_for

NAME = f"network-{uuid.uuid4().hex[:6]}"
HOST = f"{NAME}.{DOMAIN}"
ANNOTATION = "service.beta.kubernetes.io/aws-load-balancer-"


@pytest.fixture(scope="module")
def certificate(sandbox: Sandbox) -> str:
    leaf = trustme.CA().issue_cert(HOST)
    certificate = {"Certificate": leaf.cert_chain_pems[0].bytes(), "PrivateKey": leaf.private_key_pem.bytes()}
    return sandbox.aws("acm").import_certificate(**certificate)["CertificateArn"]


@pytest.fixture(scope="module")
def balancer(sandbox: Sandbox, certificate: str) -> Iterator[dict[str, Any]]:
    """A network load balancer with a TLS listener in front of a registry, and HOST, which leads to it."""
    annotations = {
        "type": "nlb",
        "ssl-cert": certificate,
        "ssl-ports": "443",
        "healthcheck-interval": "10",
        "healthcheck-healthy-threshold": "2",
        "healthcheck-unhealthy-threshold": "2",
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "annotations": {f"{ANNOTATION}{key}": value for key, value in annotations.items()}},
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": NAME},
            "ports": [{"name": "registry", "port": 443, "targetPort": 5000}],
        },
    }
    things = [deployment(NAME, 1, registry(image="registry:3.1.2")), service]
    for thing in things:
        sandbox.kubectl("apply", "--filename=-", stdin=json.dumps(thing))
    elbv2 = sandbox.aws("elbv2")

    def found() -> list[dict[str, Any]]:
        ingress = sandbox.get("service", NAME)["status"]["loadBalancer"].get("ingress", [])
        names = [one["hostname"] for one in ingress]
        return [one for one in elbv2.describe_load_balancers()["LoadBalancers"] if one["DNSName"] in names]

    (made,) = wait_for(found, "network load balancer")
    alias = {"DNSName": made["DNSName"], "HostedZoneId": NETWORK_HOSTED_ZONE_ID, "EvaluateTargetHealth": False}
    record = {"Name": HOST, "Type": "A", "AliasTarget": alias}

    def change(action: str) -> None:
        sandbox.aws("route53").change_resource_record_sets(
            HostedZoneId=sandbox.account.zone_id,
            ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]},
        )

    change("CREATE")
    yield made
    change("DELETE")
    sandbox.kubectl("delete", "service,deployment", NAME)


def group_of(sandbox: Sandbox, balancer: dict[str, Any]) -> str:
    groups = sandbox.aws("elbv2").describe_target_groups(LoadBalancerArn=balancer["LoadBalancerArn"])
    return groups["TargetGroups"][0]["TargetGroupArn"]


def states(sandbox: Sandbox, group: str) -> list[str]:
    health = sandbox.aws("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return [one["TargetHealth"]["State"] for one in health]


def asked(sandbox: Sandbox, url: str, edge: str = "", timeout: float = 60) -> int:
    """The status with which the registry answers, by the clients' way to the edge or by the one given."""
    with requests.Session() as session:
        session.trust_env = False
        proxy = edge or sandbox.layout.edge_url
        verify = str(sandbox.layout.authority_certificate)
        return session.get(url, proxies={"http": proxy, "https": proxy}, verify=verify, timeout=timeout).status_code


def reasons(sandbox: Sandbox, pod: str) -> list[str]:
    """Those of the pod's events."""
    events = sandbox.get("events", f"--field-selector=involvedObject.name={pod}")["items"]
    return [event["reason"] for event in events]


def test_it_answers_as_soon_as_its_instance_is_healthy(sandbox: Sandbox, balancer: dict[str, Any]) -> None:
    group = group_of(sandbox, balancer)
    assert states(sandbox, group) == ["initial"]
    with pytest.raises(requests.exceptions.ProxyError, match=r"no target that gets connections .* is initial Elb\."):
        asked(sandbox, f"https://{HOST}/v2/")
    wait_for(lambda: states(sandbox, group) == ["healthy"], "healthy target")
    assert asked(sandbox, f"https://{HOST}/v2/") == 200


def test_the_node_pulls_through_it_once_addresses_are_not_preserved(
    sandbox: Sandbox, balancer: dict[str, Any], tmp_path: Path
) -> None:
    group = group_of(sandbox, balancer)
    wait_for(lambda: states(sandbox, group) == ["healthy"], "healthy target")
    program = tmp_path / "program"
    program.write_bytes(b"no program")
    push_program(Crane(sandbox.layout, sandbox.account, sandbox.tools.binaries), f"{HOST}/app:1", tmp_path, program)
    with pytest.raises(requests.exceptions.Timeout):  # as a pull waits
        asked(sandbox, f"https://{HOST}/v2/", sandbox.layout.node_edge_url, timeout=2)
    sandbox.aws("elbv2").modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": "preserve_client_ip.enabled", "Value": "false"}]
    )
    name = f"{NAME}-pulled"
    sandbox.kubectl("apply", "--filename=-", stdin=json.dumps(pod(name, {"name": "app", "image": f"{HOST}/app:1"})))
    try:
        wait_for(lambda: "Pulled" in reasons(sandbox, name), "pulled image")
    finally:
        sandbox.kubectl("delete", "pod", name, "--wait=false")


def test_pods_are_targets_by_their_addresses_until_they_are_drained(sandbox: Sandbox, balancer: dict[str, Any]) -> None:
    elbv2, ec2 = sandbox.aws("elbv2"), sandbox.aws("ec2")
    (made,) = sandbox.get("pods", f"--selector=app={NAME}")["items"]
    target = {"Id": made["status"]["podIP"], "Port": 5000}
    group = elbv2.create_target_group(
        Name=f"{NAME}-ip", Protocol="TCP", Port=5000, VpcId=sandbox.account.vpc_id, TargetType="ip",
        HealthCheckProtocol="HTTP", HealthCheckPath="/v2/", HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=5,
        HealthyThresholdCount=2, UnhealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    elbv2.modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "8"}]
    )
    listener = elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="TCP", Port=8080,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Listeners"][0]["ListenerArn"]  # fmt: skip
    (node,) = ec2.describe_instances(InstanceIds=[sandbox.account.instance_id])["Reservations"]
    admitted = {
        "GroupId": node["Instances"][0]["SecurityGroups"][0]["GroupId"],
        "IpPermissions": [
            {"IpProtocol": "tcp", "FromPort": 5000, "ToPort": 5000, "IpRanges": [{"CidrIp": "172.31.0.0/20"}]}
        ],
    }
    ec2.authorize_security_group_ingress(**admitted)
    try:
        elbv2.register_targets(TargetGroupArn=group, Targets=[target])
        assert states(sandbox, group) == ["initial"]
        wait_for(lambda: states(sandbox, group) == ["healthy"], "healthy target")
        assert asked(sandbox, f"http://{HOST}:8080/v2/") == 200
        elbv2.deregister_targets(TargetGroupArn=group, Targets=[target])
        assert states(sandbox, group) == ["draining"]
        assert asked(sandbox, f"http://{HOST}:8080/v2/") == 200  # new connections, for a while
        wait_for(lambda: not states(sandbox, group), "end of draining")
        assert asked(sandbox, f"http://{HOST}:8080/v2/") == 502
    finally:
        elbv2.delete_listener(ListenerArn=listener)
        elbv2.delete_target_group(TargetGroupArn=group)
        ec2.revoke_security_group_ingress(**admitted)
