"""The edge's way from a name to a load balancer's listener, on the emulated Route53, ELB, EC2, ACM and IAM."""

from __future__ import annotations

import asyncio
import functools
import json
import ssl
import threading
import uuid
from typing import Any

import pytest
import trustme
from moto.acm.models import acm_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from sandbox.aws.moto_corrections.load_balancers import CLASSIC_HOSTED_ZONE_ID, NETWORK_HOSTED_ZONE_ID
from sandbox.edge.resolution import Resolver, Routes, covers
from sandbox.edge.routes import Route, UnreachableError
from sandbox.layout import MEMBER_ADMINISTRATOR, Account
from tests.end_to_end.zone_account import administrator_session, make_zone_account
from tests.sandbox.aws.emulated_aws import EmulatedAws
from tests.waiting import wait_for

HOST = "registry.sandbox.test"
NODE_PORT = 31080


class Cloud:
    """A VPC and a hosted zone, and what a test adds to them. The account is shared, so all names are new ones."""

    def __init__(self, aws: EmulatedAws) -> None:
        self.url = aws.url
        self._client = aws.client
        self.name = f"n{uuid.uuid4().hex[:8]}"
        self.domain = f"{self.name}.test"
        self.host = f"registry.{self.domain}"
        self.account = account(aws)
        self.vpc, self.subnet = self.account.vpc_id, self.account.subnet_id
        self.zone = self.make_zone(self.domain)

    def client(self, service: str) -> Any:
        return self._client(service)

    def resolve(self, host: str = "", port: int = 80) -> Route:
        return resolver(self.url, self.account).resolve(host or self.host, port)

    def make_zone(self, name: str, **arguments: Any) -> str:
        zone = self.client("route53").create_hosted_zone(Name=name, CallerReference=f"{name}{arguments}", **arguments)
        return zone["HostedZone"]["Id"].rpartition("/")[2]

    def make_group(self, name: str, *sources: str, port: int = 80) -> str:
        ec2 = self.client("ec2")
        group = ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
        for source in sources:
            ec2.authorize_security_group_ingress(
                GroupId=group, IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp=source
            )
        return group

    def make_classic(self, *sources: str, instances: tuple[str, ...] = ("i-1",), **listener: Any) -> str:
        """Make a classic load balancer for `sources` (default: all); return its DNS name."""
        entry = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": NODE_PORT, **listener}
        elb = self.client("elb")
        dns_name = elb.create_load_balancer(
            LoadBalancerName=self.name,
            Listeners=[entry],
            Subnets=[self.subnet],
            SecurityGroups=[
                self.make_group(f"{self.name}-elb", *(sources or ("0.0.0.0/0",)), port=entry["LoadBalancerPort"])
            ],
        )["DNSName"]
        if instances:
            elb.register_instances_with_load_balancer(
                LoadBalancerName=self.name, Instances=[{"InstanceId": one} for one in instances]
            )
        return dns_name

    def make_alias(
        self, dns_name: str, zone_id: str = CLASSIC_HOSTED_ZONE_ID, host: str = "", within: str = ""
    ) -> None:
        alias = {"DNSName": dns_name, "HostedZoneId": zone_id, "EvaluateTargetHealth": False}
        self.make_record(host, within, Type="A", AliasTarget=alias)

    def make_record(self, host: str = "", within: str = "", **record: Any) -> None:
        change = {"Action": "CREATE", "ResourceRecordSet": {"Name": host or self.host, **record}}
        self.client("route53").change_resource_record_sets(
            HostedZoneId=within or self.zone, ChangeBatch={"Changes": [change]}
        )


@functools.cache
def account(aws: EmulatedAws) -> Account:
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="172.20.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="172.20.0.0/20")["Subnet"]["SubnetId"]
    return Account(aws.administrator.id, aws.administrator.secret, vpc, subnet, "", "", "", "")


@functools.cache  # making its clients takes half a second
def resolver(url: str, account: Account) -> Resolver:
    return Resolver(url, account)


@pytest.fixture
def cloud(aws: EmulatedAws) -> Cloud:
    return Cloud(aws)


def test_an_alias_leads_to_the_listener_of_its_classic_load_balancer(cloud: Cloud) -> None:
    cloud.make_alias(cloud.make_classic())
    route = cloud.resolve()
    assert (route.load_balancer, route.port, route.protocol) == (cloud.name, 80, "TCP")
    assert (route.instance_port, route.idle_seconds) == (NODE_PORT, 60)


def test_dualstack_final_dots_and_case_make_no_difference(cloud: Cloud) -> None:
    cloud.make_alias(f"DualStack.{cloud.make_classic().upper()}.")
    assert cloud.resolve(f"{cloud.host.upper()}.").instance_port == NODE_PORT


def test_the_load_balancers_own_name_resolves_too(cloud: Cloud) -> None:
    assert cloud.resolve(cloud.make_classic()).instance_port == NODE_PORT


def test_a_cname_and_a_wildcard_are_followed(cloud: Cloud) -> None:
    cloud.make_record(Type="CNAME", TTL=60, ResourceRecords=[{"Value": f"any.apps.{cloud.domain}."}])
    cloud.make_alias(cloud.make_classic(), host=f"*.apps.{cloud.domain}")
    assert cloud.resolve().instance_port == NODE_PORT


def test_records_that_lead_in_a_circle_are_refused(cloud: Cloud) -> None:
    cloud.make_record(Type="CNAME", TTL=60, ResourceRecords=[{"Value": cloud.host}])
    with pytest.raises(UnreachableError, match="lead on more than 8 times"):
        cloud.resolve()


def test_the_longest_hosted_zone_answers(cloud: Cloud) -> None:
    host = f"a.inner.{cloud.domain}"
    cloud.make_alias(cloud.make_classic(), host=host)
    assert cloud.resolve(host).load_balancer == cloud.name
    inner = cloud.make_zone(f"inner.{cloud.domain}")
    with pytest.raises(UnreachableError, match=rf"no A record for {host} in .*\({inner}\)"):
        cloud.resolve(host)


def test_a_private_zone_answers_only_if_it_is_associated_with_the_vpc(cloud: Cloud) -> None:
    dns_name = cloud.make_classic()
    config = {"PrivateZone": True, "Comment": ""}
    mine, others = f"mine-{cloud.domain}", f"others-{cloud.domain}"
    for name, vpc in ((mine, cloud.vpc), (others, "vpc-other")):
        zone = cloud.make_zone(name, HostedZoneConfig=config, VPC={"VPCRegion": "us-east-1", "VPCId": vpc})
        cloud.make_alias(dns_name, host=f"registry.{name}", within=zone)
    assert cloud.resolve(f"registry.{mine}").instance_port == NODE_PORT
    with pytest.raises(UnreachableError, match=f"no hosted zone of the account holds registry.{others}"):
        cloud.resolve(f"registry.{others}")


def test_a_name_outside_of_the_zones_is_refused(cloud: Cloud) -> None:
    with pytest.raises(UnreachableError, match=rf"no hosted zone .* holds example\.com \(it has: .*{cloud.domain}"):
        cloud.resolve("example.com")


def test_a_name_that_only_ends_like_a_zone_is_not_in_it(cloud: Cloud) -> None:
    with pytest.raises(UnreachableError, match="no hosted zone"):
        cloud.resolve(f"not{cloud.domain}")


def test_a_name_without_a_record_is_refused_with_zone_and_remedy(cloud: Cloud) -> None:
    expected = rf"no A record for {cloud.host} in hosted zone {cloud.domain} \({cloud.zone}\): create an alias"
    with pytest.raises(UnreachableError, match=expected):
        cloud.resolve()


def test_a_plain_address_is_refused(cloud: Cloud) -> None:
    cloud.make_record(Type="A", TTL=60, ResourceRecords=[{"Value": "192.0.2.1"}])
    with pytest.raises(UnreachableError, match=r"is 192\.0\.2\.1: the edge follows aliases"):
        cloud.resolve()


def test_an_alias_to_no_load_balancer_of_the_account_is_refused(cloud: Cloud) -> None:
    cloud.make_alias("gone.us-east-1.elb.amazonaws.com")
    with pytest.raises(
        UnreachableError, match=r"leads to gone\.us-east-1\.elb\.amazonaws\.com, which is no load balancer"
    ):
        cloud.resolve()


def test_an_alias_in_the_hosted_zone_of_the_other_kind_of_load_balancer_is_refused(cloud: Cloud) -> None:
    cloud.make_alias(cloud.make_classic(), zone_id=NETWORK_HOSTED_ZONE_ID)
    with pytest.raises(
        UnreachableError, match=f"{NETWORK_HOSTED_ZONE_ID}, but the classic load .* is in {CLASSIC_HOSTED_ZONE_ID}"
    ):
        cloud.resolve()


def test_a_port_without_a_listener_is_refused_with_those_that_exist(cloud: Cloud) -> None:
    cloud.make_alias(cloud.make_classic())
    with pytest.raises(UnreachableError, match=r"no listener on port 443, but: 80 \(TCP\)\. Add the port"):
        cloud.resolve(port=443)


def test_a_load_balancer_without_an_instance_is_refused(cloud: Cloud) -> None:
    cloud.make_alias(cloud.make_classic(instances=()))
    with pytest.raises(UnreachableError, match=f"{cloud.name} has no instance"):
        cloud.resolve()


def test_the_idle_timeout_is_the_load_balancers(cloud: Cloud) -> None:
    cloud.make_alias(cloud.make_classic())
    cloud.client("elb").modify_load_balancer_attributes(
        LoadBalancerName=cloud.name, LoadBalancerAttributes={"ConnectionSettings": {"IdleTimeout": 900}}
    )
    assert cloud.resolve().idle_seconds == 900


def test_only_sources_of_the_security_groups_rules_for_the_port_are_admitted(cloud: Cloud) -> None:
    cloud.make_alias(cloud.make_classic("127.104.9.0/24", "198.51.100.7/32"))
    route = cloud.resolve()
    admitted = [a for a in ("127.104.9.4", "127.104.8.4", "127.0.0.1", "198.51.100.7", "::1") if route.admits(a)]
    assert admitted == ["127.104.9.4", "198.51.100.7"]


def test_a_rule_for_another_port_admits_nobody(cloud: Cloud) -> None:
    cloud.make_alias(cloud.make_classic())
    groups = [cloud.make_group(f"{cloud.name}-other", "0.0.0.0/0", port=81)]
    cloud.client("elb").apply_security_groups_to_load_balancer(LoadBalancerName=cloud.name, SecurityGroups=groups)
    assert not cloud.resolve().admits("127.0.0.1")


def tls_listener(arn: str) -> dict[str, Any]:
    return {"Protocol": "HTTPS", "InstanceProtocol": "HTTP", "LoadBalancerPort": 443, "SSLCertificateId": arn}


def test_a_certificate_proven_by_dns_gives_the_listener_its_names(cloud: Cloud) -> None:
    acm = cloud.client("acm")
    names = [cloud.host, f"*.apps.{cloud.domain}"]
    arn = acm.request_certificate(DomainName=cloud.host, SubjectAlternativeNames=names[1:], ValidationMethod="DNS")[
        "CertificateArn"
    ]
    for option in acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]:
        record = option["ResourceRecord"]
        cloud.make_record(record["Name"], Type="CNAME", TTL=60, ResourceRecords=[{"Value": record["Value"]}])
    wait_for(
        lambda: acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"] == "ISSUED", "issued certificate"
    )
    cloud.make_alias(cloud.make_classic(**tls_listener(arn)))
    route = cloud.resolve(port=443)
    assert (route.protocol, route.certificate_names) == ("HTTPS", tuple(names))
    expected = rf"no listener on port 80, but: 443 \(HTTPS\)\. Use https://{cloud.host}"
    with pytest.raises(UnreachableError, match=expected):
        cloud.resolve()


def test_a_certificate_that_is_not_issued_is_refused(cloud: Cloud) -> None:
    arn = imported(cloud, cloud.host)
    cloud.make_alias(cloud.make_classic(**tls_listener(arn)))
    acm_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].get_certificate(arn).status = "PENDING_VALIDATION"
    with pytest.raises(UnreachableError, match=f"{arn} of {cloud.host} PENDING_VALIDATION.*DNS record"):
        cloud.resolve(port=443)


def test_a_listener_that_speaks_tls_to_the_pods_is_refused_with_the_annotation(cloud: Cloud) -> None:
    listener = {**tls_listener(imported(cloud, cloud.host)), "InstanceProtocol": "SSL", "Protocol": "SSL"}
    cloud.make_alias(cloud.make_classic(**listener))
    with pytest.raises(UnreachableError, match=r"speaks SSL to the pods.*aws-load-balancer-backend-protocol: http"):
        cloud.resolve(port=443)


def imported(cloud: Cloud, *names: str) -> str:
    leaf = trustme.CA().issue_cert(*names)
    certificate = {"Certificate": leaf.cert_chain_pems[0].bytes(), "PrivateKey": leaf.private_key_pem.bytes()}
    return cloud.client("acm").import_certificate(**certificate)["CertificateArn"]


def test_a_certificate_for_other_names_is_refused(cloud: Cloud) -> None:
    cloud.make_alias(cloud.make_classic(**tls_listener(imported(cloud, f"other.{cloud.domain}"))))
    with pytest.raises(UnreachableError, match=rf"is for .*other.{cloud.domain}.*, not for {cloud.host}"):
        cloud.resolve(port=443)


def test_a_server_certificate_of_iam_serves_as_well(cloud: Cloud) -> None:
    leaf = trustme.CA().issue_cert(cloud.host)
    arn = cloud.client("iam").upload_server_certificate(
        ServerCertificateName=cloud.name,
        CertificateBody=leaf.cert_chain_pems[0].bytes().decode(),
        PrivateKey=leaf.private_key_pem.bytes().decode(),
    )["ServerCertificateMetadata"]["Arn"]
    cloud.make_alias(cloud.make_classic(**tls_listener(arn)))
    assert cloud.resolve(port=443).certificate_names == (cloud.host,)


@pytest.mark.parametrize(
    ("policy", "lowest", "highest"),
    [
        ("ELBSecurityPolicy-TLS-1-2-2017-01", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
        ("ELBSecurityPolicy-TLS13-1-2-2021-06", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
    ],
)
def test_the_listeners_security_policy_sets_the_versions_of_tls(
    cloud: Cloud, policy: str, lowest: ssl.TLSVersion, highest: ssl.TLSVersion
) -> None:
    cloud.make_alias(cloud.make_classic(**tls_listener(imported(cloud, cloud.host))))
    elb = cloud.client("elb")
    elb.create_load_balancer_policy(
        LoadBalancerName=cloud.name,
        PolicyName="mine",
        PolicyTypeName="SSLNegotiationPolicyType",
        PolicyAttributes=[{"AttributeName": "Reference-Security-Policy", "AttributeValue": policy}],
    )
    elb.set_load_balancer_policies_of_listener(LoadBalancerName=cloud.name, LoadBalancerPort=443, PolicyNames=["mine"])
    route = cloud.resolve(port=443)
    assert (route.security_policy, route.tls_versions) == (policy, (lowest, highest))


def test_an_aws_that_is_down_is_named(cloud: Cloud) -> None:
    with pytest.raises(UnreachableError, match=r"emulated AWS at http://127\.0\.0\.1:9 does not answer"):
        Resolver("http://127.0.0.1:9", cloud.account).resolve(cloud.host, 80)


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("a.test", "A.test", True),
        ("a.test", "b.a.test", False),
        ("*.a.test", "b.a.test", True),
        ("*.a.test", "c.b.a.test", False),
        ("*.a.test", "a.test", False),
    ],
)
def test_a_wildcard_covers_one_label(pattern: str, host: str, expected: bool) -> None:
    assert covers(pattern, host) is expected


class Readings:
    """A `resolve` that counts, and fails on demand."""

    def __init__(self) -> None:
        self.count = 0
        self.threads: set[int] = set()
        self.failure: Exception | None = None

    def __call__(self, host: str, port: int) -> Route:
        self.count += 1
        self.threads.add(threading.get_ident())
        if self.failure:
            raise self.failure
        return Route(f"reading {self.count}", port, "TCP", NODE_PORT, 60, ())


@pytest.mark.asyncio
async def test_simultaneous_requests_share_one_reading_which_is_kept_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1000.0)
    readings = Readings()
    routes = Routes(readings)
    found = await asyncio.gather(*(routes.get(HOST, 80) for _ in range(20)))
    found.append(await routes.get(HOST, 80))
    assert {route.load_balancer for route in found} == {"reading 1"}
    assert threading.get_ident() not in readings.threads


@pytest.mark.asyncio
async def test_a_route_is_read_again_in_the_background_and_never_older_than_the_maximum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readings = Readings()
    routes = Routes(readings)
    now = 1000.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    await routes.get(HOST, 80)
    now += 0.6
    assert (await routes.get(HOST, 80)).load_balancer == "reading 1"
    while readings.count < 2 or routes._reading:
        await asyncio.sleep(0)
    assert (await routes.get(HOST, 80)).load_balancer == "reading 2"
    now += 1.1
    assert (await routes.get(HOST, 80)).load_balancer == "reading 3"


@pytest.mark.asyncio
async def test_a_failure_is_told_and_not_kept() -> None:
    readings = Readings()
    routes = Routes(readings)
    readings.failure = UnreachableError("no A record")
    with pytest.raises(UnreachableError, match="no A record"):
        await routes.get(HOST, 80)
    readings.failure = None
    assert (await routes.get(HOST, 80)).load_balancer == "reading 2"


def test_a_name_in_another_accounts_public_zone_leads_to_the_own_load_balancer(
    cloud: Cloud, aws: EmulatedAws, caplog: pytest.LogCaptureFixture
) -> None:
    administrator = administrator_session(aws.administrator.id, aws.administrator.secret)
    domain = f"next-door-{cloud.name}.test"
    other = make_zone_account(administrator, aws.url, domain)
    host = f"registry.{domain}"
    with pytest.raises(UnreachableError, match=f"no A record for {host} in hosted zone {domain} .{other.zone_id}."):
        cloud.resolve(host)
    alias = {"DNSName": cloud.make_classic(), "HostedZoneId": CLASSIC_HOSTED_ZONE_ID, "EvaluateTargetHealth": False}
    record = {"Name": host, "Type": "A", "AliasTarget": alias}
    changes = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    other.route53.change_resource_record_sets(HostedZoneId=other.zone_id, ChangeBatch=changes)
    assert (cloud.resolve(host).load_balancer, cloud.resolve(host).port) == (cloud.name, 80)

    private = f"private-{domain}"
    vpc = {"VPCRegion": "us-east-1", "VPCId": "vpc-12345678"}
    config = {"PrivateZone": True}
    other.route53.create_hosted_zone(Name=private, CallerReference=private, VPC=vpc, HostedZoneConfig=config)
    with pytest.raises(UnreachableError, match=f"no hosted zone of the account holds registry.{private}"):
        cloud.resolve(f"registry.{private}")

    closed = make_zone_account(administrator, aws.url, f"closed-{domain}")
    own = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": closed.id}}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [own]})
    closed.iam.update_assume_role_policy(RoleName=MEMBER_ADMINISTRATOR, PolicyDocument=trust)
    with pytest.raises(UnreachableError, match="no hosted zone of the account holds"):
        cloud.resolve(f"registry.closed-{domain}")
    assert f"the public zones of the account {closed.id} are not resolved: " in caplog.text
    assert cloud.resolve(host).load_balancer == cloud.name
