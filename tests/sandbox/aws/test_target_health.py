"""DescribeTargetHealth of the emulated AWS, from registration to the end of draining."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.aws.moto_corrections import target_health
from tests.sandbox.aws.emulated_aws import EmulatedAws
from tests.waiting import wait_for

POD, OTHER = {"Id": "10.104.1.1", "Port": 5000}, {"Id": "10.104.1.1", "Port": 5001}

States = dict[tuple[str, int], tuple[str, str | None]]


class Group:
    """A target group of addresses, and what the edge has reported of it."""

    def __init__(self, aws: EmulatedAws, reports: Path) -> None:
        self.elbv2, self.reports = aws.client("elbv2"), reports
        ec2, self.name = aws.client("ec2"), f"n{uuid.uuid4().hex[:8]}"
        self.vpc = ec2.create_vpc(CidrBlock="10.104.0.0/16")["Vpc"]["VpcId"]
        self.subnet = ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.104.0.0/20")["Subnet"]["SubnetId"]
        group = self.elbv2.create_target_group(
            Name=self.name, Protocol="TCP", Port=5000, VpcId=self.vpc, TargetType="ip"
        )
        self.arn = group["TargetGroups"][0]["TargetGroupArn"]

    def listen(self) -> None:
        balancer = self.elbv2.create_load_balancer(Name=self.name, Type="network", Subnets=[self.subnet])
        self.elbv2.create_listener(
            LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"], Protocol="TCP", Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.arn}],
        )  # fmt: skip

    def register(self, *targets: dict[str, Any]) -> None:
        self.elbv2.register_targets(TargetGroupArn=self.arn, Targets=targets)

    def deregister(self, *targets: dict[str, Any]) -> None:
        self.elbv2.deregister_targets(TargetGroupArn=self.arn, Targets=targets)

    def delay_deregistration(self, seconds: int) -> None:
        attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}
        self.elbv2.modify_target_group_attributes(TargetGroupArn=self.arn, Attributes=[attribute])

    def report(self, state: str, reason: str = "", description: str = "") -> None:
        self.reports.write_text(json.dumps({self.arn: {"10.104.1.1:5000": [state, reason, description]}}))

    def states(self, *targets: dict[str, Any]) -> States:
        found = self.elbv2.describe_target_health(TargetGroupArn=self.arn, Targets=targets)["TargetHealthDescriptions"]
        return {
            (one["Target"]["Id"], one["Target"]["Port"]): (
                one["TargetHealth"]["State"],
                one["TargetHealth"].get("Reason"),
            )
            for one in found
        }


@pytest.fixture
def group(aws: EmulatedAws, tmp_path: Path) -> Iterator[Group]:
    before = target_health._reports[:]
    target_health.read_health_from(tmp_path / "target-health.json")
    yield Group(aws, tmp_path / "target-health.json")
    target_health._reports[:] = before


@pytest.fixture
def state(group: Group) -> Callable[[], tuple[str, str | None]]:
    return lambda: group.states(POD)["10.104.1.1", 5000]


def test_a_target_is_unused_until_a_listener_leads_to_it_and_then_as_the_edge_reports(
    group: Group, state: Callable[[], tuple[str, str | None]]
) -> None:
    group.register(POD)
    assert state() == ("unused", "Target.NotInUse")
    group.listen()
    assert state() == ("initial", "Elb.RegistrationInProgress")
    group.report("unhealthy", "Target.Timeout", "Request timed out")
    assert state() == ("unhealthy", "Target.Timeout")
    group.report("healthy")
    assert state() == ("healthy", None)


def test_a_deregistered_target_drains_for_its_groups_delay_and_is_gone(
    group: Group, state: Callable[[], tuple[str, str | None]]
) -> None:
    group.listen()
    group.register(POD, OTHER)
    group.report("healthy")
    group.deregister(POD)
    draining = ("draining", "Target.DeregistrationInProgress")
    assert state() == draining
    assert group.states()["10.104.1.1", 5000] == draining
    group.register(POD)
    assert state() == ("healthy", None)
    group.delay_deregistration(1)
    group.deregister(POD)
    assert state() == draining
    wait_for(lambda: state() == ("unused", "Target.NotRegistered"), "end of draining")
    assert list(group.states()) == [("10.104.1.1", 5001)]


def test_ports_of_one_address_are_targets_of_their_own(group: Group) -> None:
    group.listen()
    group.register(POD, OTHER)
    group.delay_deregistration(0)
    group.deregister(OTHER)
    assert list(group.states()) == [("10.104.1.1", 5000)]


def test_what_is_not_registered_is_deregistered_without_an_error(group: Group) -> None:
    group.register(POD)
    group.delay_deregistration(0)
    for _ in range(2):
        group.deregister(POD)
    assert group.states() == {}


def test_a_target_without_a_port_gets_its_groups(group: Group) -> None:
    group.register({"Id": "10.104.1.2"})
    assert list(group.states()) == [("10.104.1.2", 5000)]


def test_a_terminated_instance_drains(aws: EmulatedAws, group: Group) -> None:
    ec2 = aws.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    group.register({"Id": instance, "Port": 31080})
    ec2.terminate_instances(InstanceIds=[instance])
    assert group.states()[instance, 31080][0] == "draining"
