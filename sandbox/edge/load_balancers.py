"""The account's load balancers as the edge needs them: listeners, timeouts, security groups and certificates.

Reads classic ("ELB") and network load balancers of the emulated AWS through boto3; everything here blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from ssl import TLSVersion
from typing import Any, Protocol

import boto3
from botocore.config import Config
from cryptography import x509

from sandbox.layout import REGION, Account

NETWORK_IDLE_SECONDS = 350
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html#connection-idle-timeout"""

HTTP_PROTOCOLS = {"HTTP", "HTTPS"}
TLS_PROTOCOLS = {"HTTPS", "SSL", "TLS"}

Network = IPv4Network | IPv6Network


class UnreachableError(Exception):
    """Why a name, or what is behind it, can't be reached, and the remedy: a text for the client."""


@dataclass(frozen=True)
class Route:
    """What AWS says about one name and port: the listener, and who may come in by it."""

    load_balancer: str
    """Its name."""
    port: int
    """The listener's."""
    protocol: str
    """TCP, HTTP, SSL, HTTPS (classic), TCP or TLS (network)."""
    instance_port: int
    """The NodePort."""
    idle_seconds: float
    sources: tuple[Network, ...]
    """The client addresses that the security groups admit."""
    certificate_names: tuple[str, ...] = ()
    """The DNS names of the listener's certificate, `*.` wildcards among them; only where TLS is terminated."""
    security_policy: str = ""
    """The name of the listener's predefined TLS policy; empty for the default."""

    @property
    def speaks_http(self) -> bool:
        """Whether the load balancer understands requests, adds headers to them and answers errors itself."""
        return self.protocol in HTTP_PROTOCOLS

    @property
    def terminates_tls(self) -> bool:
        """Whether clients speak TLS to the load balancer."""
        return self.protocol in TLS_PROTOCOLS

    @property
    def tls_versions(self) -> tuple[TLSVersion, TLSVersion]:
        """The lowest and highest version of TLS that the policy lets clients speak; TLS 1.0 and 1.1 not in any case.

        https://docs.aws.amazon.com/elasticloadbalancing/latest/network/describe-ssl-policies.html
        """
        lowest = TLSVersion.TLSv1_3 if "TLS13-1-3" in self.security_policy else TLSVersion.TLSv1_2
        highest = TLSVersion.TLSv1_3 if "TLS13" in self.security_policy else TLSVersion.TLSv1_2
        return lowest, highest

    def admits(self, address: str) -> bool:
        """Tell whether the security groups let the client with this IP address in."""
        return any(ip_address(address) in source for source in self.sources)


@dataclass(frozen=True)
class Listener:
    """A port of a load balancer."""

    protocol: str
    instance_protocol: str
    """What the load balancer speaks to the instances."""
    instance_port: int
    certificate_arn: str | None
    security_policy: str


class LoadBalancer(Protocol):
    """One load balancer of the account."""

    kind: str
    name: str
    hosted_zone_id: str

    def listeners(self) -> dict[int, Listener]:
        """Return the listeners by port."""
        ...

    def idle_seconds(self) -> float:
        """Return after how many seconds without a byte a connection is closed."""
        ...

    def sources(self, port: int, listener: Listener) -> tuple[Network, ...]:
        """Return the client addresses admitted to `listener` on `port`."""
        ...


class LoadBalancers:
    """All load balancers of the account."""

    def __init__(self, url: str, account: Account) -> None:
        """Read through the AWS API at `url` with the key of `account`."""
        self._clients = {name: client(name, url, account) for name in ("elb", "elbv2", "ec2", "acm", "iam")}

    def by_dns_name(self) -> dict[str, LoadBalancer]:
        """Return them by DNS name (in lower case). Application load balancers are left out: they take no Service."""
        found: dict[str, LoadBalancer] = {}
        for description in pages(self._clients["elb"], "describe_load_balancers", "LoadBalancerDescriptions"):
            found[description["DNSName"].lower()] = _Classic(description, self._clients)
        for description in pages(self._clients["elbv2"], "describe_load_balancers", "LoadBalancers"):
            if description["Type"] == "network":
                found[description["DNSName"].lower()] = _Network(description, self._clients)
        return found

    def certificate_names(self, arn: str) -> tuple[str, ...]:
        """Return the DNS names that the certificate `arn` (of ACM or IAM) is valid for.

        Raises UnreachableError if there is no such certificate, or if it is of ACM and not ISSUED.
        """
        if ":server-certificate/" in arn:
            return self._server_certificate_names(arn)
        acm = self._clients["acm"]
        try:
            certificate = acm.describe_certificate(CertificateArn=arn)["Certificate"]
        except acm.exceptions.ResourceNotFoundException:
            raise UnreachableError(f"ACM has no certificate {arn}: give the listener one that exists") from None
        if certificate["Status"] != "ISSUED":
            raise UnreachableError(
                f"ACM calls the certificate {arn} of {certificate['DomainName']} {certificate['Status']}, and a load "
                "balancer serves ISSUED ones only: create the DNS record by which ACM validates the domain, or wait"
            )
        return tuple(dict.fromkeys([certificate["DomainName"], *certificate.get("SubjectAlternativeNames", [])]))

    def _server_certificate_names(self, arn: str) -> tuple[str, ...]:
        iam = self._clients["iam"]
        name = arn.rpartition("/")[2]
        try:
            pem = iam.get_server_certificate(ServerCertificateName=name)["ServerCertificate"]["CertificateBody"]
        except iam.exceptions.NoSuchEntityException:
            raise UnreachableError(f"IAM has no server certificate {arn}: give the listener one that exists") from None
        certificate = x509.load_pem_x509_certificate(pem.encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return tuple(names.get_values_for_type(x509.DNSName))


def client(service: str, url: str, account: Account) -> Any:
    """Make a boto3 client of the emulated AWS at `url`; it takes nothing from the user's environment."""
    return boto3.Session(account.access_key_id, account.secret_access_key, region_name=REGION).client(
        service,
        endpoint_url=url,
        config=Config(proxies={}, connect_timeout=10, read_timeout=60, max_pool_connections=20),
    )


def pages(client: Any, operation: str, key: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yield what `operation` of a boto3 client lists under `key`, page by page."""
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page[key]


def _admitted(ec2: Any, groups: list[str], port: int) -> tuple[Network, ...]:
    """Return the addresses from which the security groups `groups` let TCP to `port` in; none admit nothing."""
    if not groups:
        return ()
    return tuple(
        ip_network(source, strict=False)
        for group in ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"]
        for rule in group["IpPermissions"]
        if rule["IpProtocol"] == "-1" or (rule["IpProtocol"] == "tcp" and rule["FromPort"] <= port <= rule["ToPort"])
        for source in (
            *(entry["CidrIp"] for entry in rule.get("IpRanges", [])),
            *(entry["CidrIpv6"] for entry in rule.get("Ipv6Ranges", [])),
        )
    )


class _Classic:
    kind = "classic"

    def __init__(self, description: dict[str, Any], clients: dict[str, Any]) -> None:
        self.name: str = description["LoadBalancerName"]
        self.hosted_zone_id: str = description["CanonicalHostedZoneNameID"]
        self._description = description
        self._clients = clients

    def listeners(self) -> dict[int, Listener]:
        if not self._description["Instances"]:
            raise UnreachableError(f"the classic load balancer {self.name} has no instance: register the node's")
        return {
            listener["LoadBalancerPort"]: Listener(
                protocol=listener["Protocol"],
                instance_protocol=listener["InstanceProtocol"],
                instance_port=listener["InstancePort"],
                certificate_arn=listener.get("SSLCertificateId"),
                security_policy=self._security_policy(entry.get("PolicyNames", [])),
            )
            for entry in self._description["ListenerDescriptions"]
            for listener in [entry["Listener"]]
        }

    def _security_policy(self, names: list[str]) -> str:
        if not names:
            return ""
        policies = self._clients["elb"].describe_load_balancer_policies(LoadBalancerName=self.name, PolicyNames=names)
        attributes = (
            attribute
            for policy in policies["PolicyDescriptions"]
            for attribute in policy.get("PolicyAttributeDescriptions", [])
        )
        values = (
            attribute["AttributeValue"]
            for attribute in attributes
            if attribute["AttributeName"] == "Reference-Security-Policy"
        )
        return next(values, "")

    def idle_seconds(self) -> float:
        attributes = self._clients["elb"].describe_load_balancer_attributes(LoadBalancerName=self.name)
        return attributes["LoadBalancerAttributes"]["ConnectionSettings"]["IdleTimeout"]

    def sources(self, port: int, listener: Listener) -> tuple[Network, ...]:
        return _admitted(self._clients["ec2"], self._description.get("SecurityGroups", []), port)


class _Network:
    kind = "network"

    def __init__(self, description: dict[str, Any], clients: dict[str, Any]) -> None:
        self.name: str = description["LoadBalancerName"]
        self.hosted_zone_id: str = description["CanonicalHostedZoneId"]
        self._description = description
        self._clients = clients
        self._instances: list[str] = []

    def listeners(self) -> dict[int, Listener]:
        found = {}
        elbv2, arn = self._clients["elbv2"], self._description["LoadBalancerArn"]
        for entry in pages(elbv2, "describe_listeners", "Listeners", LoadBalancerArn=arn):
            arns = [action["TargetGroupArn"] for action in entry["DefaultActions"] if action["Type"] == "forward"]
            group = elbv2.describe_target_groups(TargetGroupArns=arns)["TargetGroups"][0]
            health = elbv2.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
            targets = health["TargetHealthDescriptions"]
            if not targets:
                continue
            self._instances = [target["Target"]["Id"] for target in targets]
            certificates = entry.get("Certificates") or [{}]
            found[entry["Port"]] = Listener(
                protocol=entry["Protocol"],
                instance_protocol=group["Protocol"],
                instance_port=targets[0]["Target"]["Port"],
                certificate_arn=certificates[0].get("CertificateArn"),
                security_policy=entry.get("SslPolicy") or "",
            )
        return found

    def idle_seconds(self) -> float:
        return NETWORK_IDLE_SECONDS

    def sources(self, port: int, listener: Listener) -> tuple[Network, ...]:
        """Without a group of its own, a network load balancer leaves the decision to the instances' groups."""
        if groups := self._description.get("SecurityGroups"):
            return _admitted(self._clients["ec2"], groups, port)
        reservations = self._clients["ec2"].describe_instances(InstanceIds=self._instances)["Reservations"]
        groups = [
            group["GroupId"]
            for reservation in reservations
            for instance in reservation["Instances"]
            for group in instance["SecurityGroups"]
        ]
        return _admitted(self._clients["ec2"], groups, listener.instance_port)
