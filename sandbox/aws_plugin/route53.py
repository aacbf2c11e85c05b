"""Route 53 records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typing_extensions import override

from sandbox.aws_plugin.errors import GoneError, PluginError, accepting, gone_on
from sandbox.aws_plugin.resource import Resource
from sandbox.aws_plugin.schema import Problem
from sandbox.aws_plugin.values import Properties, prune

_COMMENT = "Managed by Terraform"
"""The comment of the real provider's changes."""
_SYNCHRONIZED_WITHIN = 30 * 60
"""Seconds; the real provider's default timeouts for a record."""
_QUOTED = ("TXT", "SPF")


class Record(Resource):
    """`aws.route53.Record` with simple routing: either `records` with `ttl`, or one alias."""

    pulumi_type = "aws:route53/record:Record"
    service = "route53"
    replaces = frozenset({"name", "zoneId"})
    computed = frozenset({"allowOverwrite"})
    local = frozenset({"allowOverwrite"})
    unsupported = frozenset(
        {
            "cidrRoutingPolicy",
            "failoverRoutingPolicies",
            "geolocationRoutingPolicies",
            "geoproximityRoutingPolicy",
            "healthCheckId",
            "latencyRoutingPolicies",
            "multivalueAnswerRoutingPolicy",
            "setIdentifier",
            "weightedRoutingPolicies",
        }
    )
    absent_outputs = unsupported

    @override
    def create(self, inputs: Properties) -> str:
        zone = _zone_id(inputs["zoneId"])
        resource_id = "_".join([zone, _host_name(inputs["name"]), inputs["type"]])
        with self.doing(f"creating Route53 Record ({resource_id})"):
            action = "UPSERT" if inputs.get("allowOverwrite") else "CREATE"
            self._change(zone, [(action, self._record_set(inputs))])
        return resource_id

    @override
    def configure(self, resource_id: str, inputs: Properties, state: Properties) -> None:
        if not state:
            return
        with self.doing(f"updating Route53 Record ({resource_id})"):
            changes = [("UPSERT", self._record_set(inputs))]
            if inputs["type"] != state["type"]:  # one batch: there is no moment without a record
                changes = [("DELETE", self._find(state)), ("CREATE", self._record_set(inputs))]
            self._change(_zone_id(inputs["zoneId"]), changes)

    @override
    def read(self, resource_id: str, state: Properties) -> Properties:
        if not state:
            zone, _, rest = resource_id.partition("_")
            name, _, kind = rest.rpartition("_")
            if not (zone and name and kind):
                raise PluginError(f"Record: {resource_id!r} is no record's id; it must be ZONEID_name_TYPE")
            state = {"zoneId": zone, "name": name, "type": kind}
        with self.doing(f"reading Route 53 Record ({resource_id})"), gone_on("NoSuchHostedZone"):
            found = self._find(state)
        outputs = {
            "fqdn": _host_name(found["Name"]),
            "name": _host_name(state["name"]),
            "type": found["Type"],
            "zoneId": state["zoneId"],
        }
        if alias := found.get("AliasTarget"):
            target = _alias_name(alias["DNSName"])
            health = alias["EvaluateTargetHealth"]
            return outputs | {
                "aliases": [{"name": target, "zoneId": alias["HostedZoneId"], "evaluateTargetHealth": health}]
            }
        values = [record["Value"] for record in found["ResourceRecords"]]
        if found["Type"] in _QUOTED:
            values = [value.removeprefix('"').removesuffix('"') for value in values]
        return outputs | {"records": _in_order(values, state.get("records")), "ttl": found["TTL"]}

    @override
    def delete(self, resource_id: str, state: Properties) -> None:
        with self.doing(f"deleting Route53 Record ({resource_id})"), accepting("NoSuchHostedZone"):
            try:
                found = self._find(state)
            except GoneError:
                return
            self._change(_zone_id(state["zoneId"]), [("DELETE", found)])

    @override
    def check(self, inputs: Properties) -> Iterable[Problem]:
        given = inputs.keys() & {"records", "aliases"}
        if len(given) != 1:
            state = "both are given" if given else "neither is"
            yield "records", f"one of 'records' and 'aliases' must be given, not both; {state}"
        if "aliases" in inputs and "ttl" in inputs:
            yield "ttl", "'ttl' conflicts with 'aliases': an alias has its target's TTL; leave 'ttl' out"
        if "records" in inputs and "ttl" not in inputs:
            yield "ttl", "'ttl' is required with 'records' (seconds)"
        if isinstance(inputs.get("aliases"), list) and len(inputs["aliases"]) != 1:
            yield "aliases", "'aliases' must have exactly one element"

    @override
    def normal(self, name: str, value: Any, properties: Properties) -> Any:
        if value is None:
            return None
        if name == "name":
            return _host_name(value)
        if name == "zoneId":
            return _zone_id(value)
        if name == "records":
            return sorted(value)
        if name == "aliases":
            return [prune({**alias, "name": _alias_name(alias["name"])}) for alias in value]
        return super().normal(name, value, properties)

    def _fqdn(self, record: Properties) -> str:
        """The record's full name, without the last dot: a name may leave out the zone's."""
        zone = self.client.get_hosted_zone(Id=_zone_id(record["zoneId"]))["HostedZone"]["Name"].rstrip(".")
        name = _host_name(record["name"])
        if name == zone or name.endswith(f".{zone}"):
            return name
        return f"{name}.{zone}" if name else zone

    def _record_set(self, inputs: Properties) -> dict[str, Any]:
        """AWS's form of `inputs`."""
        found: dict[str, Any] = {"Name": self._fqdn(inputs), "Type": inputs["type"]}
        if inputs.get("aliases"):
            alias = inputs["aliases"][0]
            found["AliasTarget"] = {
                "DNSName": alias["name"],
                "HostedZoneId": alias["zoneId"],
                "EvaluateTargetHealth": alias["evaluateTargetHealth"],
            }
            return found
        quote = '"' if inputs["type"] in _QUOTED else ""
        found["ResourceRecords"] = [{"Value": f"{quote}{value}{quote}"} for value in inputs["records"]]
        return found | {"TTL": inputs["ttl"]}

    def _find(self, record: Properties) -> dict[str, Any]:
        """The record set of `record` as AWS has it; raises GoneError."""
        name, kind = self._fqdn(record), record["type"]
        page = self.client.list_resource_record_sets(
            HostedZoneId=_zone_id(record["zoneId"]), StartRecordName=name, StartRecordType=kind, MaxItems="1"
        )
        for found in page["ResourceRecordSets"]:
            if (_host_name(found["Name"]), found["Type"]) == (name, kind):
                return found
        raise GoneError

    def _change(self, zone: str, changes: list[tuple[str, dict[str, Any]]]) -> None:
        """Make `changes` (action, record set) in `zone` in one batch, and wait until its name servers have them."""
        batch = [{"Action": action, "ResourceRecordSet": record} for action, record in changes]
        answer = self.client.change_resource_record_sets(
            HostedZoneId=zone, ChangeBatch={"Comment": _COMMENT, "Changes": batch}
        )
        change = answer["ChangeInfo"]["Id"].rsplit("/", maxsplit=1)[-1]

        def synchronized() -> bool | None:
            return self.client.get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC" or None

        if not self.wait(synchronized, _SYNCHRONIZED_WITHIN):
            raise PluginError(f"waiting for Route 53 change ({change}) to synchronize: not INSYNC in time; try again")


def _zone_id(zone: str) -> str:
    """The id of a hosted zone without the API's prefix `/hostedzone/`."""
    return zone.rsplit("/", maxsplit=1)[-1]


def _host_name(name: str) -> str:
    """A record's name as the real provider keeps it: lower case, no last dot, `*` instead of its octal escape."""
    return name.lower().removesuffix(".").replace("\\052", "*")


def _alias_name(name: str) -> str:
    """An alias target's name as the real provider compares it: the console's `dualstack.` makes no difference."""
    return _host_name(name).removeprefix("dualstack.")


def _in_order(values: list[str], known: Any) -> list[str]:
    """`values`, which AWS keeps without order, in the order of `known` if they are the same."""
    return known if isinstance(known, list) and sorted(known) == sorted(values) else values
