"""Clusters by who makes their load balancers, and what is to be seen of a stack's, whichever kind it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.layout import CLUSTER_NAME, Layout
from sandbox.tools.build import toolchain
from tests import networks
from tests.end_to_end.registry_client import RegistryClient
from tests.end_to_end.registry_stack import RegistryStack, Sandbox, running_sandbox
from tests.waiting import PATIENCE_SECONDS, wait_for


@dataclass(frozen=True)
class Cluster:
    """A kind of sandbox: with the AWS Load Balancer Controller or without; the others are options of `up`."""

    load_balancer_controller: bool = False
    registration_delay: float | None = None
    longest_session: float | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[Sandbox]:
        """A sandbox of this kind."""
        layout = Layout("load-balancers", networks.LOAD_BALANCERS)
        options = {name: value for name, value in asdict(self).items() if value is not None}
        with running_sandbox(layout, toolchain(), **options) as running:
            yield running


CLOUD_CONTROLLER = Cluster()
LOAD_BALANCER_CONTROLLER = Cluster(load_balancer_controller=True)
CONTROLLER_CLASS = "service.k8s.aws/nlb"
GATES_LABEL = "elbv2.k8s.aws/pod-readiness-gate-inject=enabled"
"""What docs/operations.md has users label a namespace with whose pods are targets."""


@dataclass(frozen=True)
class Balancer:
    """A load balancer as AWS describes it: `kind` is classic or network."""

    kind: str
    scheme: str
    listeners: Mapping[int, str]
    """Protocols, by port."""
    target_type: str
    client_addresses: bool
    """Targets see the clients' addresses."""
    tags: Mapping[str, str]
    policies: frozenset[str] = frozenset()
    """The security policies of TLS listeners."""
    idle_seconds: int | None = None
    """Of a classic one."""
    thresholds: frozenset[int] = frozenset()
    """How many health checks make a target of a network one healthy, or unhealthy."""


def balancer(stack: RegistryStack) -> Balancer | None:
    """That to which the stack's last outputs lead, None if there is none of this name."""
    elb, elbv2 = stack.sandbox.aws("elb"), stack.sandbox.aws("elbv2")
    for one in elb.describe_load_balancers()["LoadBalancerDescriptions"]:
        if one["DNSName"] == stack.outputs["loadBalancerHostname"]:
            return _classic(elb, one)
    for one in elbv2.describe_load_balancers()["LoadBalancers"]:
        if one["DNSName"] == stack.outputs["loadBalancerHostname"]:
            return _network(elbv2, one)
    return None


def _classic(elb: Any, one: dict[str, Any]) -> Balancer:
    name = one["LoadBalancerName"]
    attributes = elb.describe_load_balancer_attributes(LoadBalancerName=name)["LoadBalancerAttributes"]
    policies = elb.describe_load_balancer_policies(LoadBalancerName=name)["PolicyDescriptions"]
    return Balancer(
        "classic",
        one["Scheme"],
        {each["Listener"]["LoadBalancerPort"]: each["Listener"]["Protocol"] for each in one["ListenerDescriptions"]},
        target_type="instance",
        client_addresses=False,
        tags=_tags(elb.describe_tags(LoadBalancerNames=[name])),
        policies=frozenset(
            each["AttributeValue"] for policy in policies for each in policy["PolicyAttributeDescriptions"]
        ),
        idle_seconds=attributes["ConnectionSettings"]["IdleTimeout"],
    )


def _network(elbv2: Any, one: dict[str, Any]) -> Balancer:
    arn = one["LoadBalancerArn"]
    listeners = elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    groups = elbv2.describe_target_groups(LoadBalancerArn=arn)["TargetGroups"]
    attributes = [
        each["Value"]
        for group in groups
        for each in elbv2.describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"])["Attributes"]
        if each["Key"] == "preserve_client_ip.enabled"
    ]
    return Balancer(
        one["Type"],
        one["Scheme"],
        {each["Port"]: each["Protocol"] for each in listeners},
        target_type=" and ".join(sorted({group["TargetType"] for group in groups})),
        client_addresses="true" in attributes,
        tags=_tags(elbv2.describe_tags(ResourceArns=[arn])),
        policies=frozenset(each["SslPolicy"] for each in listeners if each.get("SslPolicy")),
        thresholds=frozenset(group[f"{kind}ThresholdCount"] for group in groups for kind in ("Healthy", "Unhealthy")),
    )


def _tags(answer: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for one in answer["TagDescriptions"] for tag in one["Tags"]}


def client(stack: RegistryStack) -> RegistryClient:
    """A client of the primary user's."""
    return RegistryClient(stack, stack.outputs.get("username"), stack.outputs.get("password"))


def await_answer(stack: RegistryStack, seconds: float = PATIENCE_SECONDS) -> RegistryClient:
    """Wait until the registry answers by its name, and return a client: a load balancer that is new takes a while."""
    user = client(stack)

    def answers() -> bool:
        try:
            return user.request("GET", "/v2/").ok
        except OSError:
            return False

    wait_for(answers, f"answer by {user.url}", seconds)
    return user


def inventory(sandbox: Sandbox, namespace: str, zones: list[str]) -> dict[str, set[str]]:
    """All that a stack makes, and controllers for it, by kind: in AWS, in the hosted zones, and in the namespace."""
    aws = sandbox.aws
    groups = aws("ec2").describe_security_groups()["SecurityGroups"]
    records = [
        record
        for zone in zones
        for record in aws("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    ]
    found = {
        "load balancers": {
            one["LoadBalancerName"] for one in aws("elb").describe_load_balancers()["LoadBalancerDescriptions"]
        }
        | {one["LoadBalancerArn"] for one in aws("elbv2").describe_load_balancers()["LoadBalancers"]},
        "target groups": {one["TargetGroupArn"] for one in aws("elbv2").describe_target_groups()["TargetGroups"]},
        "security groups": {one["GroupId"] for one in groups},
        "rules": {f"{one['GroupId']} {rule}" for one in groups for rule in one["IpPermissions"]},
        "buckets": {one["Name"] for one in aws("s3").list_buckets()["Buckets"]},
        "users": {one["UserName"] for one in aws("iam").list_users()["Users"]},
        "roles": {one["RoleName"] for one in aws("iam").list_roles()["Roles"]},
        "associations": {
            one["associationId"]
            for one in aws("eks").list_pod_identity_associations(clusterName=CLUSTER_NAME)["associations"]
        },
        "certificates": {one["CertificateArn"] for one in aws("acm").list_certificates()["CertificateSummaryList"]},
        "records": {f"{record['Name']} {record['Type']}" for record in records},
    }
    listable = sandbox.kubectl("api-resources", "--verbs=list", "--namespaced", "--output=name").split()
    kinds = ",".join(kind for kind in listable if kind.partition(".")[0] != "events")
    found["objects"] = set(sandbox.kubectl("get", kinds, "--namespace", namespace, "--output=name").split())
    return found
