"""Load balancers as AWS has them, where moto differs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.aws.emulated_aws import EmulatedAws


@pytest.fixture(scope="module")
def vpc(aws: EmulatedAws) -> str:
    return aws.client("ec2").create_vpc(CidrBlock="172.22.0.0/16")["Vpc"]["VpcId"]


@pytest.fixture(scope="module")
def subnet(aws: EmulatedAws, vpc: str) -> str:
    made = aws.client("ec2").create_subnet(VpcId=vpc, CidrBlock="172.22.0.0/20", AvailabilityZone="us-east-1a")
    return made["Subnet"]["SubnetId"]


@pytest.fixture
def elbv2(aws: EmulatedAws) -> Any:
    return aws.client("elbv2")


@pytest.fixture
def new_group(elbv2: Any, vpc: str) -> Callable[..., str]:
    def make(**arguments: Any) -> str:
        described = {"Protocol": "TCP", "Port": 30080, "VpcId": vpc, "TargetType": "instance"} | arguments
        return elbv2.create_target_group(Name=name(), **described)["TargetGroups"][0]["TargetGroupArn"]

    return make


@pytest.fixture
def new_balancer(elbv2: Any, subnet: str) -> Callable[..., dict[str, Any]]:
    def make(**arguments: Any) -> dict[str, Any]:
        arguments = {"Type": "network", "Name": name(), "Subnets": [subnet]} | arguments
        return elbv2.create_load_balancer(**arguments)["LoadBalancers"][0]

    return make


@pytest.fixture
def issued(aws: EmulatedAws) -> Callable[[], str]:
    """Makes certificates, each proven by its record."""

    def make() -> str:
        acm, route53, domain = aws.client("acm"), aws.client("route53"), f"{name()}.test"
        arn = acm.request_certificate(DomainName=domain, ValidationMethod="DNS")["CertificateArn"]
        (option,) = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
        zone = route53.create_hosted_zone(Name=domain, CallerReference=domain)["HostedZone"]["Id"]
        proof = option["ResourceRecord"]
        record = {"Name": proof["Name"], "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": proof["Value"]}]}
        changes = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)
        return arn

    return make


def name() -> str:
    return f"n-{uuid.uuid4().hex[:8]}"


def forward(group: str) -> list[dict[str, str]]:
    return [{"Type": "forward", "TargetGroupArn": group}]


def test_a_network_balancer_is_public_if_nobody_says_otherwise(new_balancer: Callable[..., dict[str, Any]]) -> None:
    assert new_balancer()["Scheme"] == "internet-facing"
    assert new_balancer(Scheme="internal")["Scheme"] == "internal"


@pytest.mark.parametrize("scheme", ["internet-facing", "internal"])
def test_a_network_balancers_name_ends_with_elb_and_the_region(
    new_balancer: Callable[..., dict[str, Any]], scheme: str
) -> None:
    balancer = new_balancer(Name=(made := name()), Scheme=scheme)
    number = balancer["LoadBalancerArn"].rpartition("/")[2]
    assert re.fullmatch("[0-9a-f]{16}", number)
    assert (balancer["DNSName"], balancer["Scheme"]) == (f"{made}-{number}.elb.us-east-1.amazonaws.com", scheme)


@pytest.mark.parametrize(("scheme", "prefix"), [({}, ""), ({"Scheme": "internal"}, "internal-")])
def test_a_classic_balancers_name_has_a_number_and_says_if_it_is_internal(
    aws: EmulatedAws, subnet: str, scheme: dict[str, str], prefix: str
) -> None:
    listener = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 30080}
    elb, made = aws.client("elb"), name()
    dns_name = elb.create_load_balancer(LoadBalancerName=made, Listeners=[listener], Subnets=[subnet], **scheme)[
        "DNSName"
    ]
    assert re.fullmatch(rf"{prefix}{made}-\d+\.us-east-1\.elb\.amazonaws\.com", dns_name)
    (described,) = elb.describe_load_balancers(LoadBalancerNames=[made])["LoadBalancerDescriptions"]
    assert described["DNSName"] == dns_name


@pytest.mark.parametrize(
    ("target_type", "protocol", "preserved"),
    [("instance", "TCP", "true"), ("ip", "TCP", "false"), ("ip", "TLS", "false"), ("ip", "UDP", "true")],
)
def test_client_addresses_are_preserved_by_default_except_with_ip_targets_behind_tcp_and_tls(
    elbv2: Any, new_group: Callable[..., str], target_type: str, protocol: str, preserved: str
) -> None:
    def attribute(group: str) -> str:
        found = elbv2.describe_target_group_attributes(TargetGroupArn=group)["Attributes"]
        return {one["Key"]: one["Value"] for one in found}["preserve_client_ip.enabled"]

    group = new_group(TargetType=target_type, Protocol=protocol)
    assert attribute(group) == preserved
    other = {"true": "false", "false": "true"}[preserved]
    elbv2.modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": "preserve_client_ip.enabled", "Value": other}]
    )
    assert attribute(group) == other


def test_a_target_groups_health_check_is_kept(elbv2: Any, new_group: Callable[..., str]) -> None:
    asked = {
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPath": "/health",
        "HealthCheckPort": "8080",
        "HealthCheckIntervalSeconds": 11,
        "HealthCheckTimeoutSeconds": 7,
        "HealthyThresholdCount": 4,
        "UnhealthyThresholdCount": 3,
    }
    group = new_group(**asked)
    (described,) = elbv2.describe_target_groups(TargetGroupArns=[group])["TargetGroups"]
    assert asked.items() <= described.items()


def test_a_tls_listener_takes_another_policy_and_certificate(
    elbv2: Any,
    new_balancer: Callable[..., dict[str, Any]],
    new_group: Callable[..., str],
    issued: Callable[[], str],
) -> None:
    old, new, group = issued(), issued(), new_group()
    listener = elbv2.create_listener(
        LoadBalancerArn=new_balancer()["LoadBalancerArn"],
        Protocol="TLS",
        Port=443,
        Certificates=[{"CertificateArn": old}],
        DefaultActions=forward(group),
    )["Listeners"][0]["ListenerArn"]
    elbv2.modify_listener(
        ListenerArn=listener,
        Protocol="TLS",
        Port=443,
        SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        Certificates=[{"CertificateArn": new}],
        DefaultActions=forward(group),
    )
    (described,) = elbv2.describe_listeners(ListenerArns=[listener])["Listeners"]
    assert described["Protocol"] == "TLS"
    assert described["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    assert [one["CertificateArn"] for one in described["Certificates"]] == [new]


def test_a_balancers_target_groups_are_those_that_its_listeners_forward_to(
    elbv2: Any, new_balancer: Callable[..., dict[str, Any]], new_group: Callable[..., str]
) -> None:
    balancer, before, after = new_balancer()["LoadBalancerArn"], new_group(), new_group()

    def groups() -> list[str]:
        found = elbv2.describe_target_groups(LoadBalancerArn=balancer)["TargetGroups"]
        return [one["TargetGroupArn"] for one in found]

    assert groups() == []
    listener = elbv2.create_listener(LoadBalancerArn=balancer, Protocol="TCP", Port=80, DefaultActions=forward(before))[
        "Listeners"
    ][0]["ListenerArn"]
    assert groups() == [before]
    elbv2.modify_listener(ListenerArn=listener, DefaultActions=forward(after))
    assert groups() == [after]
    elbv2.delete_listener(ListenerArn=listener)
    assert groups() == []


@pytest.mark.parametrize("short", [True, False])
def test_an_action_tells_its_target_group_in_both_ways(
    elbv2: Any, new_balancer: Callable[..., dict[str, Any]], new_group: Callable[..., str], short: bool
) -> None:
    group = new_group()
    long = [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": group}]}}]
    listener = elbv2.create_listener(
        LoadBalancerArn=new_balancer()["LoadBalancerArn"],
        Protocol="TCP",
        Port=80,
        DefaultActions=forward(group) if short else long,
    )["Listeners"][0]
    (action,) = listener["DefaultActions"]
    assert action["TargetGroupArn"] == group
    assert [one["TargetGroupArn"] for one in action["ForwardConfig"]["TargetGroups"]] == [group]


def test_an_interface_has_the_prefixes_that_it_is_assigned(aws: EmulatedAws, subnet: str) -> None:
    ec2 = aws.client("ec2")
    interface = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    assigned = ec2.assign_private_ip_addresses(NetworkInterfaceId=interface, Ipv4Prefixes=["172.22.1.0/28"])
    (described,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"]
    assert assigned["AssignedIpv4Prefixes"] == described["Ipv4Prefixes"] == [{"Ipv4Prefix": "172.22.1.0/28"}]
