"""What the edge reads of network load balancers and their target groups, on the emulated AWS."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.aws.moto_corrections.load_balancers import NETWORK_HOSTED_ZONE_ID
from sandbox.edge.network_load_balancers import TargetGroups
from sandbox.edge.target_groups import HealthCheck, TargetId
from tests.sandbox.aws.emulated_aws import EmulatedAws
from tests.sandbox.edge.test_resolution import NODE_PORT, Cloud

POD = "10.104.1.1"
INTERNET, SUBNET = "0.0.0.0/0", "172.20.0.0/20"


class NetworkCloud(Cloud):
    """A network load balancer with one listener and one target, and an alias that leads to it."""

    def make(self, *sources: str, ip: bool = False, own_sources: tuple[str, ...] = (), **group: Any) -> None:
        """Have the instance's security group admit `sources`, and one of the balancer's own `own_sources`."""
        ec2, elbv2 = self.client("ec2"), self.client("elbv2")
        self.port = 5000 if ip else NODE_PORT
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        node_group = self.make_group(f"{self.name}-node", *sources, port=self.port)
        self.instance = ec2.run_instances(
            ImageId=image, MinCount=1, MaxCount=1, SubnetId=self.subnet, SecurityGroupIds=[node_group]
        )["Instances"][0]["InstanceId"]
        own = {"SecurityGroups": [self.make_group(f"{self.name}-own", *own_sources)]} if own_sources else {}
        balancer = elbv2.create_load_balancer(Name=self.name, Type="network", Subnets=[self.subnet], **own)
        self.group = elbv2.create_target_group(
            Name=self.name,
            Protocol="TCP",
            Port=self.port,
            VpcId=self.vpc,
            TargetType="ip" if ip else "instance",
            **group,
        )["TargetGroups"][0]["TargetGroupArn"]
        self.target = TargetId(POD if ip else self.instance, self.port)
        elbv2.register_targets(TargetGroupArn=self.group, Targets=[{"Id": self.target.id, "Port": self.port}])
        self.listener = elbv2.create_listener(
            LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
            Protocol="TCP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )["Listeners"][0]["ListenerArn"]
        self.make_alias(balancer["LoadBalancers"][0]["DNSName"], zone_id=NETWORK_HOSTED_ZONE_ID)

    def preserve_client_address(self, value: str) -> None:
        self.client("elbv2").modify_target_group_attributes(
            TargetGroupArn=self.group, Attributes=[{"Key": "preserve_client_ip.enabled", "Value": value}]
        )

    def end(self) -> None:
        """Instances of the VPC are nodes to the next test."""
        self.client("ec2").terminate_instances(InstanceIds=[self.instance])


@pytest.fixture
def cloud(aws: EmulatedAws, request: pytest.FixtureRequest) -> NetworkCloud:
    cloud = NetworkCloud(aws)
    request.addfinalizer(cloud.end)
    return cloud


def test_a_listener_leads_to_its_target_group(cloud: NetworkCloud) -> None:
    cloud.make(INTERNET)
    route = cloud.resolve()
    assert (route.load_balancer, route.protocol, route.target_group) == (cloud.name, "TCP", cloud.group)
    assert (route.instance_port, route.idle_seconds) == (None, 350)


@pytest.mark.parametrize(
    ("ip", "attribute", "preserves"),
    [(False, None, True), (False, "false", False), (True, None, False), (True, "true", True)],
)
def test_the_clients_address_is_preserved_for_instances_unless_the_group_says_otherwise(
    cloud: NetworkCloud, ip: bool, attribute: str | None, preserves: bool
) -> None:
    cloud.make(INTERNET, ip=ip)
    if attribute:
        cloud.preserve_client_address(attribute)
    assert cloud.resolve().preserves_client_address is preserves


def test_the_idle_timeout_of_a_tcp_listener_is_its_attribute(cloud: NetworkCloud) -> None:
    cloud.make(INTERNET)
    cloud.client("elbv2").modify_listener_attributes(
        ListenerArn=cloud.listener, Attributes=[{"Key": "tcp.idle_timeout.seconds", "Value": "900"}]
    )
    assert cloud.resolve().idle_seconds == 900


def admitted(cloud: NetworkCloud) -> list[str]:
    route = cloud.resolve()
    return [address for address in ("127.104.9.4", "127.0.0.1") if route.admits(address)]


def test_whom_the_instances_admit_comes_in_where_his_address_is_preserved(cloud: NetworkCloud) -> None:
    cloud.make("127.104.9.0/24")
    assert admitted(cloud) == ["127.104.9.4"]


@pytest.mark.parametrize("ip", [False, True])
def test_source_ranges_restrict_nobody_where_addresses_are_not_preserved(cloud: NetworkCloud, ip: bool) -> None:
    cloud.make("127.104.9.0/24", SUBNET, ip=ip)
    cloud.preserve_client_address("false")
    assert admitted(cloud) == ["127.104.9.4", "127.0.0.1"]


def test_nobody_comes_in_where_the_instances_do_not_admit_the_balancers_subnets(cloud: NetworkCloud) -> None:
    cloud.make("127.104.9.0/24")
    cloud.preserve_client_address("false")
    assert admitted(cloud) == []


def test_without_a_target_anybody_comes_in_to_be_told_so(cloud: NetworkCloud) -> None:
    cloud.make("127.104.9.0/24")
    elbv2 = cloud.client("elbv2")
    elbv2.modify_target_group_attributes(
        TargetGroupArn=cloud.group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}]
    )
    elbv2.deregister_targets(TargetGroupArn=cloud.group, Targets=[{"Id": cloud.target.id, "Port": cloud.port}])
    assert admitted(cloud) == ["127.104.9.4", "127.0.0.1"]


def test_a_security_group_of_the_balancers_own_decides(cloud: NetworkCloud) -> None:
    cloud.make(INTERNET, own_sources=("127.104.9.0/24",))
    cloud.preserve_client_address("false")
    assert admitted(cloud) == ["127.104.9.4"]


def test_a_group_is_read_with_its_targets_and_how_they_are_checked(cloud: NetworkCloud) -> None:
    cloud.make(
        INTERNET, ip=True, HealthCheckProtocol="HTTP", HealthCheckPort="5001", HealthCheckPath="/debug/health",
        HealthCheckIntervalSeconds=10, HealthCheckTimeoutSeconds=6, HealthyThresholdCount=3, UnhealthyThresholdCount=4,
        Matcher={"HttpCode": "200-299"},
    )  # fmt: skip
    groups = TargetGroups(cloud.url, cloud.account)
    (group,) = [group for group in groups.read() if group.arn == cloud.group]
    assert group.check == HealthCheck("HTTP", "5001", "/debug/health", 10, 6, 3, 4, "200-299")
    assert (group.name, group.targets) == (cloud.name, {cloud.target: "initial"})
    assert (group.ends_connections_when_drained, group.ends_connections_when_unhealthy) == (False, True)
    cloud.client("elbv2").modify_target_group_attributes(
        TargetGroupArn=cloud.group,
        Attributes=[
            {"Key": "deregistration_delay.connection_termination.enabled", "Value": "true"},
            {"Key": "target_health_state.unhealthy.connection_termination.enabled", "Value": "false"},
        ],
    )
    (group,) = [group for group in groups.read() if group.arn == cloud.group]
    assert (group.ends_connections_when_drained, group.ends_connections_when_unhealthy) == (True, False)
