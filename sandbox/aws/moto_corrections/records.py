"""Hosted zones and record sets of Route53."""

from __future__ import annotations

from typing import Any

from moto.route53 import models as route53
from moto.route53.exceptions import ResourceRecordAlreadyExists

from sandbox.aws.moto_corrections.replacing import instead_of


def create_records_that_are_not_there() -> None:
    """moto refuses a record that is made as it once was, and deleted since; and makes a second one that is otherwise.

    Route53 refuses to make one whose name and type is there, and no other.
    https://docs.aws.amazon.com/Route53/latest/APIReference/API_Change.html
    """

    @instead_of(route53.Route53Backend, "change_resource_record_sets")
    def _(original: Any, self: route53.Route53Backend, zone: str, changes: list[dict[str, Any]]) -> None:
        found = self.get_hosted_zone(zone)
        there = {_identity(one.name, one.type, one.set_identifier) for one in found.rrsets}
        for change in changes:
            record = change["ResourceRecordSet"]
            identity = _identity(record["Name"], record["Type"], record.get("SetIdentifier"))
            if change["Action"] == "CREATE" and identity in there:
                raise ResourceRecordAlreadyExists(name=record["Name"], _type=record["Type"])
            (there.discard if change["Action"] == "DELETE" else there.add)(identity)
        for change in found.rr_changes:  # by which moto judges, CREATE by CREATE, whatever came after
            change["Action"] = change["Action"].replace("CREATE", "UPSERT")
        original(self, zone, changes)


def begin_ids_of_zones_with_z() -> None:
    """moto begins them with any letter or digit. All of Route53's, and so what takes them for such, begin with Z."""

    @instead_of(route53, "create_route53_zone_id")
    def _(original: Any, *arguments: Any, **named: Any) -> str:
        return f"Z{original(*arguments, **named)}"


def _identity(name: str, type_: str | None, set_identifier: str | None) -> tuple[str, str | None, str | None]:
    return name.rstrip(".").lower(), type_, set_identifier
