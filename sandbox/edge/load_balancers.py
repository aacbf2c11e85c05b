"""The account's load balancers by name, and the certificates of their listeners.

Reads them from the emulated AWS through boto3; everything here blocks.
"""

from __future__ import annotations

from cryptography import x509

from sandbox.edge.aws_client import client, pages
from sandbox.edge.classic_load_balancers import ClassicLoadBalancer
from sandbox.edge.network_load_balancers import NetworkLoadBalancer
from sandbox.edge.routes import LoadBalancer, UnreachableError
from sandbox.layout import Account


class LoadBalancers:
    """All load balancers of the account."""

    def __init__(self, url: str, account: Account) -> None:
        """Read through the AWS API at `url` with the key of `account`."""
        self._clients = {name: client(name, url, account) for name in ("elb", "elbv2", "ec2", "acm", "iam")}

    def by_dns_name(self) -> dict[str, LoadBalancer]:
        """Return them by DNS name (in lower case). Application load balancers are left out: they take no Service."""
        found: dict[str, LoadBalancer] = {}
        for description in pages(self._clients["elb"], "describe_load_balancers", "LoadBalancerDescriptions"):
            found[description["DNSName"].lower()] = ClassicLoadBalancer(description, self._clients)
        for description in pages(self._clients["elbv2"], "describe_load_balancers", "LoadBalancers"):
            if description["Type"] == "network":
                found[description["DNSName"].lower()] = NetworkLoadBalancer(description, self._clients)
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
