"""From a name to its route: Route53's records, the load balancer that they lead to, and its listener."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.edge.hosted_zones import HostedZone, HostedZones
from sandbox.edge.load_balancers import LoadBalancers
from sandbox.edge.routes import TLS_PROTOCOLS, Listener, LoadBalancer, Route, UnreachableError
from sandbox.layout import Account

FRESH_SECONDS = 0.5
MAXIMUM_AGE_SECONDS = 1.0
"""A route is used for up to this long after it was read, and read again in the background from FRESH_SECONDS on."""

MAXIMUM_ALIASES = 8


class Resolver:
    """Resolves names as the Route53 resolver of the account's VPC does; everything here blocks.

    The edge's clients count as being inside the VPC: hosted zones that are private to it answer too, and first.
    """

    def __init__(self, url: str, account: Account) -> None:
        """Read the emulated AWS at `url` with the key of `account`."""
        self._url = url
        self._hosted_zones = HostedZones(url, account)
        self._load_balancers = LoadBalancers(self._url, account)

    def resolve(self, host: str, port: int) -> Route:
        """Return the route to `port` of `host`. Raises UnreachableError, which says what is missing."""
        try:
            return self._resolve(host.lower().rstrip("."), port)
        except (BotoCoreError, ClientError) as error:
            raise UnreachableError(
                f"the emulated AWS at {self._url} does not answer the edge ({error}): see its log, aws.log"
            ) from error

    def _resolve(self, host: str, port: int) -> Route:
        balancer = self._follow(host)
        listeners = balancer.listeners()
        if port not in listeners:
            raise UnreachableError(_no_listener(host, port, balancer, listeners))
        listener = listeners[port]
        if listener.instance_protocol in TLS_PROTOCOLS:
            raise UnreachableError(
                f"the listener on port {port} of {balancer.name} speaks {listener.instance_protocol} to the pods, "
                "which the edge can't: annotate the Service with "
                "service.beta.kubernetes.io/aws-load-balancer-backend-protocol: http"
            )
        return Route(
            load_balancer=balancer.name,
            port=port,
            protocol=listener.protocol,
            instance_port=listener.instance_port,
            idle_seconds=balancer.idle_seconds(listener),
            sources=balancer.sources(port, listener),
            target_group=listener.target_group,
            preserves_client_address=balancer.preserves_client_address(listener),
            certificate_names=self._certificate_names(host, balancer, listener),
            security_policy=listener.security_policy,
        )

    def _certificate_names(self, host: str, balancer: LoadBalancer, listener: Listener) -> tuple[str, ...]:
        """Return the names of a TLS listener's certificate. Raises UnreachableError unless it serves for `host`."""
        if listener.protocol not in TLS_PROTOCOLS:
            return ()
        if not listener.certificate_arn:
            raise UnreachableError(f"a {listener.protocol} listener of {balancer.name} has no certificate: give it one")
        names = self._load_balancers.certificate_names(listener.certificate_arn)
        if not any(covers(name, host) for name in names):
            raise UnreachableError(
                f"the certificate {listener.certificate_arn} of the load balancer {balancer.name} is for "
                f"{', '.join(names)}, not for {host}: request one for it"
            )
        return names

    def _follow(self, host: str) -> LoadBalancer:
        """Return the load balancer to which the records of `host` lead."""
        balancers = self._load_balancers.by_dns_name()
        zones = self._hosted_zones.all()
        name, via = host, ""
        for _ in range(MAXIMUM_ALIASES):
            if balancer := balancers.get(name.removeprefix("dualstack.")):
                return balancer
            zone = _zone_of(name, zones)
            if not zone and via:
                raise UnreachableError(f"the {via} leads to {name}, which is no load balancer of the account")
            if not zone:
                below = ", ".join(sorted(entry.name for entry in zones))
                raise UnreachableError(
                    f"no hosted zone of the account holds {name} (it has: {below or 'none'}): create one for its domain"
                )
            where = f"hosted zone {zone.name} ({zone.id})"
            record = _record(zone, name)
            if not record:
                raise UnreachableError(f"no A record for {name} in {where}: create an alias to the load balancer")
            via = f"{record['Type']} record {name} in {where}"
            name = _target(record, via, balancers)
        raise UnreachableError(f"the records of {host} lead on more than {MAXIMUM_ALIASES} times, the last is {via}")


class Routes:
    """Routes by host and port, read by `resolve` in a thread, and kept for up to MAXIMUM_AGE_SECONDS."""

    def __init__(self, resolve: Callable[[str, int], Route]) -> None:
        self._resolve = resolve
        self._known: dict[tuple[str, int], tuple[float, Route]] = {}
        self._reading: dict[tuple[str, int], asyncio.Task[Route]] = {}

    async def get(self, host: str, port: int) -> Route:
        """Return the route to `port` of `host`. Raises UnreachableError, as of now: failures are not kept."""
        key = (host, port)
        read_at, route = self._known.get(key, (float("-inf"), None))
        age = asyncio.get_running_loop().time() - read_at
        if route is None or age > MAXIMUM_AGE_SECONDS:
            return await asyncio.shield(self._read(key))
        if age > FRESH_SECONDS:
            self._read(key)
        return route

    def _read(self, key: tuple[str, int]) -> asyncio.Task[Route]:
        if key not in self._reading:
            task = asyncio.create_task(asyncio.to_thread(self._resolve, *key))
            self._reading[key] = task
            task.add_done_callback(lambda done: self._keep(key, done))
        return self._reading[key]

    def _keep(self, key: tuple[str, int], done: asyncio.Task[Route]) -> None:
        del self._reading[key]
        if done.cancelled() or done.exception():
            self._known.pop(key, None)
        else:
            self._known[key] = (asyncio.get_running_loop().time(), done.result())


def covers(pattern: str, host: str) -> bool:
    """Tell whether a certificate's DNS name covers `host`: a leading `*.` stands for exactly one label."""
    if pattern.startswith("*."):
        return host.partition(".")[2].lower() == pattern[2:].lower()
    return host.lower() == pattern.lower()


def _plain(name: str) -> str:
    """Return a record's name as people write it: Route53 ends it with a dot and escapes the asterisk."""
    return name.replace("\\052", "*").rstrip(".").lower()


def _zone_of(name: str, zones: list[HostedZone]) -> HostedZone | None:
    """Return the hosted zone that answers for `name`: the longest, and the private one of two."""
    matching = [zone for zone in zones if f".{name}".endswith(f".{zone.name}")]
    return max(matching, key=lambda zone: (len(zone.name), zone.is_private), default=None)


def _record(zone: HostedZone, name: str) -> dict[str, Any] | None:
    """Return the A, AAAA or CNAME record set for `name`, or for the longest wildcard that matches it."""
    records: dict[str, dict[str, Any]] = {}
    for record in zone.records():
        if record["Type"] in ("A", "AAAA", "CNAME"):
            records.setdefault(_plain(record["Name"]), record)
    labels = name.split(".")
    wildcards = (".".join(["*", *labels[i:]]) for i in range(1, len(labels)))
    return next((records[candidate] for candidate in (name, *wildcards) if candidate in records), None)


def _target(record: dict[str, Any], via: str, balancers: dict[str, LoadBalancer]) -> str:
    """Return the name to which `record` (told as `via`) leads. Raises UnreachableError if it leads to no name."""
    alias = record.get("AliasTarget")
    if not alias:
        values = [entry["Value"] for entry in record.get("ResourceRecords", [])]
        if record["Type"] == "CNAME":
            return _plain(values[0])
        raise UnreachableError(f"the {via} is {', '.join(values)}: the edge follows aliases to load balancers only")
    name = _plain(alias["DNSName"])
    balancer = balancers.get(name.removeprefix("dualstack."))
    if balancer and alias["HostedZoneId"] != balancer.hosted_zone_id:
        raise UnreachableError(
            f"the {via} is an alias in hosted zone {alias['HostedZoneId']}, but the {balancer.kind} load balancer "
            f"{balancer.name} is in {balancer.hosted_zone_id}: use that, AWS refuses another"
        )
    return name


def _no_listener(host: str, port: int, balancer: LoadBalancer, listeners: dict[int, Listener]) -> str:
    found = ", ".join(f"{number} ({listener.protocol})" for number, listener in sorted(listeners.items())) or "none"
    text = f"the {balancer.kind} load balancer {balancer.name} of {host} has no listener on port {port}, but: {found}"
    tls = [number for number, listener in listeners.items() if listener.certificate_arn]
    if port == 80 and tls:  # noqa: PLR2004
        return f"{text}. Use https://{host}, or give the Service a plain port"
    return f"{text}. Add the port to the Service"
