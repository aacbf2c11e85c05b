"""The emulated AWS as the edge asks it, through boto3; everything here blocks."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import boto3
from botocore.config import Config

from sandbox.edge.routes import Network
from sandbox.layout import REGION, Account


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


def admitted(ec2: Any, groups: list[str], port: int) -> tuple[Network, ...]:
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
