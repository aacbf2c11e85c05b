"""The hosted zones in which the edge looks names up: those of the account, and other accounts' public ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.assumed_role import assumed_role
from sandbox.edge.aws_client import client, pages
from sandbox.layout import MEMBER_ADMINISTRATOR, REGION, Account

log = logging.getLogger("sandbox.edge")


@dataclass(frozen=True)
class HostedZone:
    """A hosted zone of Route53."""

    id: str
    name: str
    """As people write it: in lower case, without the last dot."""
    is_private: bool
    _route53: Any = field(repr=False, compare=False)

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the zone's record sets."""
        yield from pages(self._route53, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=self.id)


class HostedZones:
    """What a client in the account's VPC sees: public zones whoever has them, and the private ones of the VPC.

    Other accounts are those of the account's organization. The edge reads them with the role that an organization's
    administrator has there: only DNS itself could do without. It asks for no delegation by the parent zone.
    """

    def __init__(self, url: str, account: Account) -> None:
        """Read the emulated AWS at `url` with the key of `account`."""
        self._url = url
        self._vpc_id = account.vpc_id
        self._session = boto3.Session(account.access_key_id, account.secret_access_key, region_name=REGION)
        self._route53 = client("route53", url, account)
        self._organizations = client("organizations", url, account)
        self._others: dict[str, Any] = {}

    def all(self) -> list[HostedZone]:
        """Return the zones, the account's own first."""
        found = self._own()
        for member in pages(self._organizations, "list_accounts", "Accounts"):
            is_own = member["Id"] == member["Arn"].split(":")[4]  # of the management account
            if not is_own and (route53 := self._of_member(member["Id"])):
                found += [zone for zone in _zones(route53) if not zone.is_private]
        return found

    def _own(self) -> list[HostedZone]:
        zones = list(_zones(self._route53))
        if not any(zone.is_private for zone in zones):
            return zones
        summaries = self._route53.list_hosted_zones_by_vpc(VPCId=self._vpc_id, VPCRegion=REGION)["HostedZoneSummaries"]
        seen = {summary["HostedZoneId"].rpartition("/")[2] for summary in summaries}
        return [zone for zone in zones if not zone.is_private or zone.id in seen]

    def _of_member(self, account_id: str) -> Any:
        """Return a client of Route53 in another account, or None if the account lets its administrator in no more."""
        if account_id not in self._others:
            connection: dict[str, Any] = {"endpoint_url": self._url, "config": Config(proxies={})}
            role = f"arn:aws:iam::{account_id}:role/{MEMBER_ADMINISTRATOR}"
            try:
                session = assumed_role(self._session, role, {"RoleSessionName": "edge"}, **connection)
            except ClientError as error:
                log.warning("the public zones of the account %s are not resolved: %s", account_id, error)
                return None
            self._others[account_id] = session.client("route53", **connection)
        return self._others[account_id]


def _zones(route53: Any) -> Iterator[HostedZone]:
    for zone in pages(route53, "list_hosted_zones", "HostedZones"):
        zone_id = zone["Id"].rpartition("/")[2]
        yield HostedZone(zone_id, zone["Name"].rstrip(".").lower(), zone["Config"]["PrivateZone"], route53)
