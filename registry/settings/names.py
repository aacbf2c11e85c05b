"""The settings of the registry's names: in which zone they are, and how clients reach the registry by them."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from registry.settings.model import SettingsModel
from registry.settings.value_types import Fqdn, HostedZoneId, RoleArn, Tls, refused

ACM_NAME_LENGTH = 64
"""How long the name of a certificate may be: docs.aws.amazon.com/acm/latest/userguide/acm-limits.html"""

# What they owe one another, completing "must ...".
_ZONE_RULE = "be a domain that holds the hostname"
_PUBLIC_RULE = "not be acm with privateZone"
_LENGTH_RULE = f"not be acm with a hostname of more than {ACM_NAME_LENGTH} characters"
_FURTHER_RULE = "be names in the zone, each once, and not the hostname"


class NameSettings(SettingsModel):
    """The names, their zone, and the certificate."""

    hostname: Fqdn = Field(
        examples=["registry.example.com"], description="The registry's name: what people tag images with. Required."
    )
    zone: Fqdn = Field(
        default="",
        validate_default=True,
        examples=["example.com"],
        json_schema_extra={"together": _ZONE_RULE},
        description="The Route53 hosted zone that gets the alias record. Empty: the hostname's parent domain.",
    )
    zone_id: HostedZoneId = Field(
        default="",
        examples=["Z0123456789ABCDEFGHIJ"],
        description="The id of the hosted zone, where several have the zone's name. Empty: the zone is looked up by "
        "its name.",
    )
    hostnames: list[Fqdn] = Field(
        default=[],
        validate_default=True,
        examples=["images.example.com"],
        json_schema_extra={"together": _FURTHER_RULE},
        description="Further names of the registry in the zone, each with an alias record, and on the certificate of "
        "tls: acm, for which AWS's default quota is ten names. To change the hostname: add the new name here, and when "
        "all use it swap the two, then drop the old. Left out: none.",
    )
    private_zone: bool = Field(default=False, description="Look the zone up among the private hosted zones.")
    zone_role_arn: RoleArn = Field(
        default="",
        examples=["arn:aws:iam::111122223333:role/registry-zone"],
        description="A role of the account that has the hosted zone, with which records are looked up and written "
        "there, those that prove a certificate's names too; docs/rights.md has its rights. All else is the stack's "
        "account's. Empty: the zone is the stack's account's.",
    )
    tls: Tls = Field(
        default="acm",
        validate_default=True,
        examples=["arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"],
        json_schema_extra={"together": f"{_PUBLIC_RULE}, and {_LENGTH_RULE}"},
        description="How clients reach the registry: acm, a certificate's ARN, or none. acm: HTTPS on port 443, with a "
        "certificate for the hostname that AWS issues and renews, proven by a record in the zone. A certificate's ARN: "
        "HTTPS with that one. none: HTTP on port 80, an insecure registry to Docker.",
    )

    @field_validator("zone", mode="before")
    @classmethod
    def _parent_domain_by_default(cls, zone: str, info: ValidationInfo) -> str:
        return zone or info.data.get("hostname", "registry.example.com").split(".", 1)[1]

    @field_validator("zone")
    @classmethod
    def _zone_holds_hostname(cls, zone: str, info: ValidationInfo) -> str:
        hostname = info.data.get("hostname")
        if hostname and hostname != zone and not hostname.endswith(f".{zone}"):
            raise refused(
                f"{_ZONE_RULE}, which is {hostname}",
                "leave it out for the hostname's parent domain, or name the hosted zone that the hostname ends with",
            )
        return zone

    @field_validator("hostnames")
    @classmethod
    def _hostnames_are_further_ones(cls, hostnames: list[str], info: ValidationInfo) -> list[str]:
        hostname, zone = info.data.get("hostname"), info.data.get("zone")
        for name in hostnames if hostname and zone else []:
            if name == hostname or hostnames.count(name) > 1:
                raise refused(f"{_FURTHER_RULE}: {name} is there twice", "take the second one out")
            if name != zone and not name.endswith(f".{zone}"):
                raise refused(f"{_FURTHER_RULE}, which is {zone}", f"take {name} out, or choose another zone")
        return hostnames

    @field_validator("tls")
    @classmethod
    def _acm_needs_a_public_zone(cls, tls: str, info: ValidationInfo) -> str:
        if tls == "acm" and info.data.get("private_zone"):
            raise refused(
                f"{_PUBLIC_RULE}: ACM looks for the record that proves the hostname in public DNS",
                "give the ARN of a certificate for the hostname, one imported into ACM or issued by AWS Private CA",
            )
        return tls

    @field_validator("tls")
    @classmethod
    def _acm_takes_short_names_only(cls, tls: str, info: ValidationInfo) -> str:
        hostname = info.data.get("hostname", "")
        if tls == "acm" and len(hostname) > ACM_NAME_LENGTH:
            raise refused(
                f"{_LENGTH_RULE}, and it has {len(hostname)}",
                "choose a shorter hostname, or give the ARN of a certificate that covers it, such as a wildcard's",
            )
        return tls

    @property
    def all_hostnames(self) -> list[str]:
        """All names of the registry; the first is that of the outputs."""
        return [self.hostname, *self.hostnames]
