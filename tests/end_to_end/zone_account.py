"""Another account of the emulated AWS, with a hosted zone and a role by which the sandbox's account writes to it."""

from __future__ import annotations

import contextlib
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from sandbox.assumed_role import assumed_role
from sandbox.layout import MEMBER_ADMINISTRATOR, REGION

ROLE = "zone-writer"
RIGHTS = Path(__file__).parents[2] / "docs/rights"


def zone_rights(zone_id: str) -> list[dict[str, Any]]:
    """The statements that the role has: those of docs/rights, and no others."""
    return json.loads((RIGHTS / "zone-role.json").read_text().replace("ZONE_ID", zone_id))["Statement"]


@dataclass(frozen=True)
class ZoneAccount:
    """The other account, as its administrator sees it."""

    id: str
    domain: str
    """The public hosted zone's name."""
    zone_id: str
    role_arn: str
    """The role with the rights of `zone_rights`, which principals of the sandbox's account may assume."""
    route53: Any
    """A boto3 client of the account's administrator."""
    iam: Any
    """The same for IAM."""

    def records(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The record sets of the zone by name and type, but for those that the zone was made with."""
        pages = self.route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=self.zone_id)
        found = [record for page in pages for record in page["ResourceRecordSets"]]
        return {
            (record["Name"].rstrip("."), record["Type"]): record
            for record in found
            if record["Type"] not in ("NS", "SOA")
        }

    def trust(self, *principals: str, **condition: dict[str, str]) -> None:
        """Let these principals assume the role from now on, under this condition, and nobody else."""
        document = _trust(*principals, **condition)
        self.iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=document)


def make_zone_account(
    administrator: boto3.Session, url: str, domain: str, authority: Path | None = None
) -> ZoneAccount:
    """Make a new account with the public hosted zone `domain`.

    `administrator`: of the sandbox's account, which has an organization afterwards. `url`: the emulated AWS;
    `authority`: the certificate to trust if it is one of HTTPS.
    """
    connection = {"endpoint_url": url, "verify": authority and str(authority), "config": Config(proxies={})}
    organizations = administrator.client("organizations", **connection)
    with contextlib.suppress(organizations.exceptions.AlreadyInOrganizationException):
        organizations.create_organization(FeatureSet="ALL")
    made = organizations.create_account(AccountName=domain, Email=f"aws@{domain}")["CreateAccountStatus"]
    account_id = made["AccountId"]
    role_arn = f"arn:aws:iam::{account_id}:role/{MEMBER_ADMINISTRATOR}"
    session = assumed_role(administrator, role_arn, {"RoleSessionName": "test"}, **connection)
    route53, iam = session.client("route53", **connection), session.client("iam", **connection)
    zone = route53.create_hosted_zone(Name=domain, CallerReference=uuid.uuid4().hex)["HostedZone"]["Id"]
    zone_id = zone.removeprefix("/hostedzone/")
    sandbox_account = administrator.client("sts", **connection).get_caller_identity()["Account"]
    trust = (RIGHTS / "zone-role-trust.json").read_text().replace("ACCOUNT", sandbox_account)
    role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust)["Role"]
    document = json.dumps({"Version": "2012-10-17", "Statement": zone_rights(zone_id)})
    iam.put_role_policy(RoleName=ROLE, PolicyName="zone", PolicyDocument=document)
    return ZoneAccount(account_id, domain, zone_id, role["Arn"], route53, iam)


def administrator_session(access_key_id: str, secret_access_key: str) -> boto3.Session:
    """A session of the sandbox's administrator, for `make_zone_account`."""
    return boto3.Session(access_key_id, secret_access_key, region_name=REGION)


def _trust(*principals: str, **condition: dict[str, str]) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": "sts:AssumeRole"}
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}
    )
