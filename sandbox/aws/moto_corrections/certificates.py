"""Certificates of ACM."""

from __future__ import annotations

from typing import Any

from moto.acm import models as acm
from moto.acm.exceptions import CertificateNotFound
from moto.core.exceptions import JsonRESTError
from moto.elb import models as elb
from moto.elb.exceptions import CertificateNotFoundException
from moto.route53.models import route53_backends

from sandbox.aws.moto_corrections.replacing import instead_of


def issue_certificates_once_their_domain_is_proven() -> None:
    """moto calls every requested certificate ISSUED after a while.

    ACM issues one that is validated by DNS when the CNAME record of each of its names is found; here, in a public
    hosted zone, whichever account has it. https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
    """

    @instead_of(acm.CertBundle, "check")
    def _(original: Any, self: acm.CertBundle) -> None:
        if self.type == "AMAZON_ISSUED" and self.status == "PENDING_VALIDATION" and not _is_proven(self):
            return
        original(self)


def _is_proven(certificate: acm.CertBundle) -> bool:
    found = {
        (record.name.rstrip(".").lower(), value.rstrip(".").lower())
        for account in list(route53_backends.values())
        for zone in list(account["aws"].zones.values())
        if not zone.private_zone
        for record in zone.rrsets
        if record.type == "CNAME"
        for value in record.records
    }
    wanted = [option["ResourceRecord"] for option in certificate.describe()["Certificate"]["DomainValidationOptions"]]
    return all((record["Name"].rstrip(".").lower(), record["Value"].rstrip(".").lower()) in found for record in wanted)


def keep_certificates_that_are_in_use() -> None:
    """moto deletes a certificate that a load balancer's listener still names; ACM answers ResourceInUseException."""

    @instead_of(acm.AWSCertificateManagerBackend, "delete_certificate")
    def _(original: Any, self: acm.AWSCertificateManagerBackend, arn: str) -> None:
        balancers = elb.elb_backends[self.account_id][self.region_name].load_balancers.values()
        users = [each.name for each in balancers if any(arn == one.ssl_certificate_id for one in each.listeners)]
        if users:
            message = f"Certificate {arn} in account {self.account_id} is in use by {', '.join(users)}."
            raise JsonRESTError("ResourceInUseException", message)
        original(self, arn)


def refuse_listeners_with_certificates_not_issued() -> None:
    """moto lets a classic load balancer use a certificate that is still to be validated; AWS does not find it."""

    @instead_of(elb, "register_certificate")
    def _(original: Any, account_id: str, region: str, arn_certificate: str, arn_user: str) -> None:
        try:
            status = acm.acm_backends[account_id][region].get_certificate(arn_certificate).status
        except CertificateNotFound:
            status = "missing"
        if status != "ISSUED":
            raise CertificateNotFoundException
        original(account_id, region, arn_certificate, arn_user)
