"""The functions (invokes): what a program asks of AWS or of its published tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import botocore.session

from sandbox.aws_plugin.eks import get_cluster
from sandbox.aws_plugin.errors import PluginError, doing
from sandbox.aws_plugin.load_balancer_zones import get_classic_zone_id, get_load_balancer_zone_id
from sandbox.aws_plugin.lookups import get_bucket, get_key, get_open_id_connect_provider, get_records
from sandbox.aws_plugin.session import Aws
from sandbox.aws_plugin.shapes import tag_map
from sandbox.aws_plugin.values import Properties


def get_zone(aws: Aws, args: Properties) -> Properties:
    """`aws:route53/getZone:getZone`: the one hosted zone that `name` or `zoneId`, and the other arguments, fit."""
    if bool(args.get("name")) == bool(args.get("zoneId")):
        raise PluginError("getZone: give exactly one of 'name' and 'zoneId'")
    route53 = aws.client("route53")
    with doing("reading Route 53 Hosted Zones", "Route 53"):
        zones = [zone for page in route53.get_paginator("list_hosted_zones").paginate() for zone in page["HostedZones"]]
        found = [zone for zone in zones if _fits(route53, zone, args)]
        if not found:
            raise PluginError(
                f"no matching Route 53 Hosted Zone found: {_zone_query(args)}; the account has "
                f"{', '.join(_zone_title(zone) for zone in zones) or 'none'}"
            )
        if len(found) > 1:
            raise PluginError(
                f"multiple Route 53 Hosted Zones matched {_zone_query(args)}; use additional constraints to reduce "
                "matches to a single Route 53 Hosted Zone"
            )
        zone = found[0]
        zone_id = _bare_id(zone)
        servers = _name_servers(route53, zone)
        tags = _zone_tags(route53, zone_id)
    return {
        "arn": f"arn:{aws.partition()}:route53:::hostedzone/{zone_id}",
        "callerReference": zone["CallerReference"],
        "comment": zone["Config"].get("Comment", ""),
        "enableAcceleratedRecovery": False,
        "id": zone_id,
        "linkedServiceDescription": zone.get("LinkedService", {}).get("Description", ""),
        "linkedServicePrincipal": zone.get("LinkedService", {}).get("ServicePrincipal", ""),
        "name": zone["Name"].removesuffix("."),
        "nameServers": sorted(servers),
        "primaryNameServer": servers[0] if servers else "",
        "privateZone": zone["Config"]["PrivateZone"],
        "resourceRecordSetCount": zone["ResourceRecordSetCount"],
        "tags": tags,
        "vpcId": args.get("vpcId", ""),
        "zoneId": zone_id,
    }


def get_region(aws: Aws, args: Properties) -> Properties:
    """`aws:index/getRegion:getRegion`: the provider's region, or the one named by `region` or `name`."""
    if args.get("endpoint"):
        raise PluginError("getRegion: the sandbox's stand-in finds a region by 'region' only, not by 'endpoint'")
    region = args.get("region") or args.get("name") or aws.known_region()
    partition = _partition_of(region)
    return {
        "description": partition["regions"][region]["description"],
        "endpoint": f"ec2.{region}.{partition['dnsSuffix']}",
        "id": region,
        "name": region,
        "region": region,
    }


def get_caller_identity(aws: Aws, args: Properties) -> Properties:
    """`aws:index/getCallerIdentity:getCallerIdentity`: whose credentials these are."""
    with doing("reading STS Caller Identity", "STS"):
        answer = aws.client("sts").get_caller_identity()
    account = answer["Account"]
    return {"accountId": account, "arn": answer["Arn"], "id": account, "userId": answer["UserId"]}


def get_partition(aws: Aws, args: Properties) -> Properties:
    """`aws:index/getPartition:getPartition`: the partition of the provider's region."""
    data = _partition_of(aws.known_region())
    name, suffix = data["partition"], data["dnsSuffix"]
    reverse = ".".join(reversed(suffix.split(".")))
    return {"dnsSuffix": suffix, "id": name, "partition": name, "reverseDnsPrefix": reverse}


FUNCTIONS: Final[Mapping[str, Callable[[Aws, Properties], Properties]]] = {
    "aws:eks/getCluster:getCluster": get_cluster,
    "aws:elb/getHostedZoneId:getHostedZoneId": get_classic_zone_id,
    "aws:iam/getOpenIdConnectProvider:getOpenIdConnectProvider": get_open_id_connect_provider,
    "aws:index/getCallerIdentity:getCallerIdentity": get_caller_identity,
    "aws:index/getPartition:getPartition": get_partition,
    "aws:index/getRegion:getRegion": get_region,
    "aws:kms/getKey:getKey": get_key,
    "aws:lb/getHostedZoneId:getHostedZoneId": get_load_balancer_zone_id,
    "aws:route53/getRecords:getRecords": get_records,
    "aws:route53/getZone:getZone": get_zone,
    "aws:s3/getBucket:getBucket": get_bucket,
}


def _partition_of(region: str) -> Properties:
    """What botocore's table of endpoints says of the partition that has `region`; PluginError if none has."""
    for partition in botocore.session.get_session().get_data("endpoints")["partitions"]:
        if region in partition["regions"]:
            return partition
    raise PluginError(f"there is no AWS region {region!r}")


def _fits(route53: Any, zone: Properties, args: Properties) -> bool:
    """Whether the hosted `zone` is one that `args` ask for."""
    if args.get("zoneId"):
        if _bare_id(zone) != args["zoneId"].removeprefix("/hostedzone/"):
            return False
    elif (
        zone["Name"].removesuffix(".") != args["name"].lower().removesuffix(".")
        or zone["Config"]["PrivateZone"] != bool(args.get("privateZone"))  # a public one, unless asked for
    ):
        return False
    if args.get("vpcId"):
        vpcs = route53.get_hosted_zone(Id=_bare_id(zone)).get("VPCs", [])
        if args["vpcId"] not in [vpc["VPCId"] for vpc in vpcs]:
            return False
    wanted = args.get("tags") or {}
    return not wanted or wanted.items() <= _zone_tags(route53, _bare_id(zone)).items()


def _name_servers(route53: Any, zone: Properties) -> list[str]:
    """The zone's name servers, the primary first: a public zone's delegation set, a private one's NS record."""
    answer = route53.get_hosted_zone(Id=_bare_id(zone))
    if "DelegationSet" in answer:
        return answer["DelegationSet"]["NameServers"]
    page = route53.list_resource_record_sets(HostedZoneId=_bare_id(zone))
    records = [record for record in page["ResourceRecordSets"] if record["Type"] == "NS"]
    return [value["Value"].removesuffix(".") for record in records[:1] for value in record["ResourceRecords"]]


def _zone_tags(route53: Any, zone_id: str) -> dict[str, str]:
    answer = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=zone_id)
    return tag_map(answer["ResourceTagSet"]["Tags"])


def _bare_id(zone: Properties) -> str:
    return zone["Id"].rsplit("/", maxsplit=1)[-1]


def _zone_query(args: Properties) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in sorted(args.items()) if value not in (None, ""))


def _zone_title(zone: Properties) -> str:
    kind = "private" if zone["Config"]["PrivateZone"] else "public"
    return f"{zone['Name'].removesuffix('.')} ({kind})"
