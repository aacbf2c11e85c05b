"""ACM certificates proved by DNS, and the wait until they are issued."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC
from typing import Any, ClassVar

from typing_extensions import override

from sandbox.aws_plugin.errors import GoneError, PluginError, accepting, gone_on
from sandbox.aws_plugin.resource import Resource
from sandbox.aws_plugin.schema import Problem
from sandbox.aws_plugin.shapes import from_aws, tag_list, tag_map, timestamp, to_aws
from sandbox.aws_plugin.values import Properties

# Seconds; the real provider's own deadlines.
_OPTIONS_WITHIN = 5 * 60
_DELETED_WITHIN = 20 * 60
_ISSUED_WITHIN = 75 * 60
_NOT_FOUND = "ResourceNotFoundException"


class _Acm(Resource):
    service = "acm"

    def _describe(self, arn: str) -> Properties:
        """AWS's description of the certificate `arn`; raises GoneError."""
        with gone_on(_NOT_FOUND):
            return self.client.describe_certificate(CertificateArn=arn)["Certificate"]


class Certificate(_Acm):
    """`aws.acm.Certificate`, requested from Amazon."""

    pulumi_type = "aws:acm/certificate:Certificate"
    replaces = frozenset({"domainName", "keyAlgorithm", "subjectAlternativeNames", "validationMethod"})
    computed = frozenset({"domainName", "keyAlgorithm", "options", "subjectAlternativeNames", "validationMethod"})
    unsupported = frozenset(
        {
            "certificateAuthorityArn",
            "certificateBody",
            "certificateChain",
            "earlyRenewalDuration",
            "privateKey",
            "privateKeyWo",
            "privateKeyWoVersion",
            "validationOptions",
            "options.export",
        }
    )
    absent_outputs = unsupported - {"options.export"}
    choices: ClassVar = {
        "options.certificateTransparencyLoggingPreference": ("ENABLED", "DISABLED"),
        "validationMethod": ("DNS", "EMAIL"),
    }

    @override
    def create(self, inputs: Properties) -> str:
        request: dict[str, Any] = {"DomainName": inputs["domainName"], "IdempotencyToken": uuid.uuid4().hex}
        for name in ("keyAlgorithm", "subjectAlternativeNames", "validationMethod"):
            if inputs.get(name):
                request[name[0].upper() + name[1:]] = inputs[name]
        if inputs.get("options"):
            request["Options"] = to_aws(inputs["options"], self._options_shape)
        if tags := self.all_tags(inputs):
            request["Tags"] = tag_list(tags)
        with self.doing(f"requesting ACM Certificate ({inputs['domainName']})"):
            return self.client.request_certificate(**request)["CertificateArn"]

    @override
    def configure(self, resource_id: str, inputs: Properties, state: Properties) -> None:
        with self.doing(f"updating ACM Certificate ({resource_id})"):
            if not state:
                self._wait_for_validation_options(resource_id)
                return
            if inputs.get("options") and inputs["options"] != state.get("options"):
                options = to_aws(inputs["options"], self._options_shape)
                self.client.update_certificate_options(CertificateArn=resource_id, Options=options)
            old, new = state.get("tagsAll", {}), self.all_tags(inputs)
            if removed := {key: old[key] for key in old.keys() - new.keys()}:
                self.client.remove_tags_from_certificate(CertificateArn=resource_id, Tags=tag_list(removed))
            if new and new != old:
                self.client.add_tags_to_certificate(CertificateArn=resource_id, Tags=tag_list(new))

    @override
    def read(self, resource_id: str, state: Properties) -> Properties:
        with self.doing(f"reading ACM Certificate ({resource_id})"):
            found = self._describe(resource_id)
            tags = tag_map(self.client.list_tags_for_certificate(CertificateArn=resource_id)["Tags"])
        options = found.get("Options")
        return {
            "arn": resource_id,
            "domainName": found["DomainName"],
            "domainValidationOptions": [
                {"domainName": option["DomainName"], **_record(option)} for option in _dns_options(found)
            ],
            "keyAlgorithm": found["KeyAlgorithm"].replace("-", "_"),  # the API takes RSA_2048 and gives RSA-2048
            "notAfter": timestamp(found["NotAfter"]) if "NotAfter" in found else "",
            "notBefore": timestamp(found["NotBefore"]) if "NotBefore" in found else "",
            "options": from_aws(options, self._options_shape, self.schema().inputs["options"]) if options else None,
            "pendingRenewal": False,
            "renewalEligibility": found.get("RenewalEligibility", ""),
            "renewalSummaries": [],
            "status": found["Status"],
            "subjectAlternativeNames": sorted(found.get("SubjectAlternativeNames", [])),
            "type": found["Type"],
            "validationEmails": sorted(_emails(found)),
            "validationMethod": _validation_method(found),
            **self.tag_outputs(tags, state),
        }

    @override
    def delete(self, resource_id: str, state: Properties) -> None:
        def deleted() -> bool | None:
            """Whether it is deleted; None while a load balancer that is going away still uses it."""
            try:
                with accepting(_NOT_FOUND):
                    self.client.delete_certificate(CertificateArn=resource_id)
            except self.client.exceptions.ResourceInUseException as error:
                last_error.append(error)
                return None
            return True

        last_error: list[Exception] = []
        with self.doing(f"deleting ACM Certificate ({resource_id})"):
            if not self.wait(deleted, _DELETED_WITHIN):
                raise last_error[-1]

    @override
    def check(self, inputs: Properties) -> Iterable[Problem]:
        if "domainName" not in inputs:
            yield "domainName", "'domainName' is required: importing a certificate with its key is not implemented here"
        if "validationMethod" not in inputs:
            yield "validationMethod", "'validationMethod' must be given when a certificate is requested: DNS or EMAIL"
        for name in _texts([inputs.get("domainName")]) + _texts(inputs.get("subjectAlternativeNames")):
            if name.endswith("."):
                yield "domainName", f"the domain name {name!r} can't end with a period"

    @override
    def normal(self, name: str, value: Any, properties: Properties) -> Any:
        if name == "subjectAlternativeNames" and value is not None:
            return sorted({*value, properties.get("domainName")} - {None}, key=str)  # ACM adds the domain name itself
        if name == "options":
            return (value or {}).get("certificateTransparencyLoggingPreference") or "ENABLED"  # AWS's default
        return super().normal(name, value, properties)

    @property
    def _options_shape(self) -> Any:
        return self.client.meta.service_model.shape_for("CertificateOptions")

    def _wait_for_validation_options(self, arn: str) -> None:
        """Wait until ACM has assigned the records that prove the domains, some seconds after the request."""

        def assigned() -> bool | None:
            found = self._describe(arn)
            options = found.get("DomainValidationOptions")
            if not options:
                return None
            return all("ResourceRecord" in o or o.get("ValidationMethod") != "DNS" for o in options) or None

        if not self.wait(assigned, _OPTIONS_WITHIN):
            raise PluginError(
                f"waiting for ACM Certificate ({arn}): no validation options in time; run the update again"
            )


class CertificateValidation(_Acm):
    """`aws.acm.CertificateValidation`: nothing in AWS, but the wait until the certificate is issued."""

    pulumi_type = "aws:acm/certificateValidation:CertificateValidation"
    replaces = frozenset({"certificateArn", "validationRecordFqdns"})

    @override
    def create(self, inputs: Properties) -> str:
        arn = inputs["certificateArn"]
        with self.doing(f"waiting for ACM Certificate ({arn}) to be issued"):
            certificate = self._existing(arn)
            if certificate["Type"] != "AMAZON_ISSUED":
                raise PluginError(
                    f"ACM Certificate ({arn}) has type {certificate['Type']}, no validation necessary: "
                    "remove the CertificateValidation"
                )
            self._check_records(certificate, inputs.get("validationRecordFqdns"))
            issued = self.wait(lambda: self._issued(arn), _ISSUED_WITHIN)
        if issued is None:
            records = "; ".join(
                f"{option['ResourceRecord']['Name']} {option['ResourceRecord']['Type']} "
                f"{option['ResourceRecord']['Value']}"
                for option in _dns_options(certificate)
            )
            raise PluginError(
                f"waiting for ACM Certificate ({arn}) to be issued: still PENDING_VALIDATION after "
                f"{self.timeout or _ISSUED_WITHIN:g} s; make sure that public DNS answers with "
                f"{records or 'its records'} and that the zone is delegated to its Route 53 name servers, "
                "then run the update again"
            )
        return _validation_id(issued)

    @override
    def read(self, resource_id: str, state: Properties) -> Properties:
        arn = state.get("certificateArn")
        if arn is None:
            raise PluginError("CertificateValidation: the real provider can't import it either; let it be created")
        with self.doing(f"reading ACM Certificate ({arn})"):
            if self._describe(arn)["Status"] != "ISSUED":
                raise GoneError
        return {"certificateArn": arn, "validationRecordFqdns": state.get("validationRecordFqdns")}

    def delete(self, resource_id: str, state: Properties) -> None:
        """Nothing: there is nothing in AWS."""

    @override
    def normal(self, name: str, value: Any, properties: Properties) -> Any:
        if name == "validationRecordFqdns" and value is not None:
            return sorted(fqdn.removesuffix(".") for fqdn in value)
        return super().normal(name, value, properties)

    def _existing(self, arn: str) -> Properties:
        try:
            return self._describe(arn)
        except GoneError:
            raise PluginError(f"reading ACM Certificate ({arn}): couldn't find resource") from None

    def _check_records(self, certificate: Properties, fqdns: list[str] | None) -> None:
        """Raise PluginError if `fqdns`, when given, leave out a record that proves one of the domains."""
        if fqdns is None:
            return
        given = {fqdn.removesuffix(".") for fqdn in fqdns}
        for option in _dns_options(certificate):
            name = option["ResourceRecord"]["Name"].removesuffix(".")
            if name not in given:
                raise PluginError(
                    f"missing {option['DomainName']} DNS validation record: {name}; make that Route 53 record "
                    "and add its fqdn to validationRecordFqdns"
                )

    def _issued(self, arn: str) -> Properties | None:
        """The certificate if it is issued, None while it isn't yet; raises PluginError if it never will be."""
        certificate = self._existing(arn)
        status = certificate["Status"]
        if status == "ISSUED":
            return certificate
        if status == "PENDING_VALIDATION":
            return None
        reason = certificate.get("FailureReason", "no reason given")
        raise PluginError(
            f"waiting for ACM Certificate ({arn}) to be issued: its status is {status} ({reason}); request a new one: "
            "`pulumi up --replace` the Certificate"
        )


def _validation_id(certificate: Properties) -> str:
    """The real provider's id of a validation: the moment of issue as Go writes it."""
    issued = certificate.get("IssuedAt")
    return f"{issued.astimezone(UTC):%Y-%m-%d %H:%M:%S} +0000 UTC" if issued else "0001-01-01 00:00:00 +0000 UTC"


def _dns_options(certificate: Properties) -> list[Properties]:
    """The domain validation options that have a DNS record, the certificate's own domain first, in a stable order."""
    options = [option for option in certificate.get("DomainValidationOptions", []) if "ResourceRecord" in option]
    return sorted(options, key=lambda option: (option["DomainName"] != certificate["DomainName"], option["DomainName"]))


def _record(option: Properties) -> Properties:
    """Pulumi's form of the record of a validation option."""
    return {f"resourceRecord{name}": value for name, value in option["ResourceRecord"].items()}


def _emails(certificate: Properties) -> set[str]:
    options = certificate.get("DomainValidationOptions", [])
    return {email for option in options for email in option.get("ValidationEmails", [])}


def _validation_method(certificate: Properties) -> str:
    methods = [o["ValidationMethod"] for o in certificate.get("DomainValidationOptions", []) if "ValidationMethod" in o]
    return methods[0] if methods else "NONE"


def _texts(values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
