"""The way in, whoever makes it: each kind of load balancer with and without TLS, public and internal.

Stacks with TLS set no `bucket.endpoint`, as on AWS: pods and clients find S3 by the names that AWS gives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from pulumi import automation

from sandbox.layout import REGION
from tests.end_to_end.identities import AS_ON_AWS, HELD, IDENTITIES, held, pods_of
from tests.end_to_end.images import pull, push
from tests.end_to_end.load_balancers import (
    CLOUD_CONTROLLER,
    CONTROLLER_CLASS,
    GATES_LABEL,
    LOAD_BALANCER_CONTROLLER,
    Cluster,
    await_answer,
    balancer,
    client,
    inventory,
)
from tests.end_to_end.node_pulls import the_node_pulls_an_image_and_runs_it
from tests.end_to_end.registry_client import Repeatedly, digest_of
from tests.end_to_end.registry_stack import RegistryStack, Sandbox
from tests.end_to_end.setting_changes import PREFIX
from tests.waiting import PATIENCE_SECONDS, wait_for

pytestmark = pytest.mark.matrix

INTERVAL_SECONDS = 0.2
"""Between the begins of two pulls, and of two pushes, as far as the machine allows."""
SLOW_SECONDS = 90.0
"""What users of AWS saw a registration take: registry/load_balancer/readiness_gates.py."""
SLOW_REGISTRATION = Cluster(load_balancer_controller=True, registration_delay=SLOW_SECONDS)


@dataclass(frozen=True)
class Kind:
    """Who makes a load balancer, in which cluster, by which settings of `loadBalancer`; and what it then is."""

    cluster: Cluster
    settings: Mapping[str, Any]
    kind: str = "network"
    target_type: str = "instance"


KINDS = {
    "classic": Kind(CLOUD_CONTROLLER, {}, "classic"),
    "network": Kind(CLOUD_CONTROLLER, {"type": "network"}),
    "instance-targets": Kind(LOAD_BALANCER_CONTROLLER, {"class": CONTROLLER_CLASS}),
    "ip-targets": Kind(LOAD_BALANCER_CONTROLLER, {"class": CONTROLLER_CLASS, "targetType": "ip"}, target_type="ip"),
    "webhook": Kind(LOAD_BALANCER_CONTROLLER, {}),
}


@dataclass(frozen=True, eq=False)
class Case:
    """A kind of load balancer, with a certificate or without TLS, public or internal, and an identity.

    None equals another: pytest would bring the tests of equal ones together, rather than those of one sandbox.
    """

    name: str
    tls: str
    scheme: str
    identity: str = "user"

    def __str__(self) -> str:
        return f"{self.name}-{self.tls}-{self.scheme}" + (f"-{self.identity}" if self.is_role else "")

    @property
    def is_role(self) -> bool:
        return self.identity != "user"

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    @property
    def settings(self) -> dict[str, Any]:
        balancer = dict(self.kind.settings) | ({"internal": True} if self.scheme == "internal" else {})
        return {
            **({} if self.tls == "acm" else {"tls": self.tls}),
            **({"loadBalancer": balancer} if balancer else {}),
            **IDENTITIES[self.identity],
            **(AS_ON_AWS if self.tls == "acm" else {}),
        }

    @property
    def changed(self) -> dict[str, Any]:
        """The settings after a roll, by a rotation if there is a key, and a change of the Service.

        The change is one that this kind of load balancer knows.
        """
        rolls = {"podAnnotations": {"example.com/roll": "2"}} if self.is_role else {"rotation": {"accessKey": 2}}
        settings = self.settings | rolls
        name, value = self.change
        if name == "tags":
            return settings | {"tags": value}
        return settings | {"loadBalancer": settings.get("loadBalancer", {}) | {name: value}}

    @property
    def change(self) -> tuple[str, Any]:
        if self.kind.kind == "classic":
            return "idleTimeoutSeconds", 600
        if self.tls == "acm":
            return "sslNegotiationPolicy", "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
        if self.name == "network":  # to which the cloud controller gives tags when it makes it only
            names = (f"{PREFIX}healthcheck-{kind}-threshold" for kind in ("healthy", "unhealthy"))
            return "annotations", dict.fromkeys(names, "2")
        return "tags", {"team": "platform"}

    def is_changed(self, stack: RegistryStack) -> bool:
        """Whether the load balancer has what `change` sets."""
        found = balancer(stack)
        assert found
        match self.change:
            case "idleTimeoutSeconds", seconds:
                return found.idle_seconds == seconds
            case "sslNegotiationPolicy", policy:
                return found.policies == {policy}
            case "annotations", thresholds:
                return found.thresholds == {int(one) for one in thresholds.values()}
            case _, tags:
                return tags.items() <= found.tags.items()


CASES = [Case(name, tls, scheme) for name in KINDS for tls in ("none", "acm") for scheme in ("public", "internal")]
ROLES = [
    Case(name, "acm", "public", identity)
    for name in ("classic", "network")
    for identity in IDENTITIES
    if identity != "user"
]
SHORT = "webhook-acm-public"


@pytest.fixture(scope="module")
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox of the kind that the parameter names: one at a time."""
    with request.param.running() as running:
        yield running


@pytest.fixture
def stack(sandbox: Sandbox, case: Case, tmp_path: Path) -> Iterator[RegistryStack]:
    made = RegistryStack(sandbox, str(case), tmp_path)
    if case.kind.target_type == "ip":
        sandbox.kubectl("label", "namespace", made.name, GATES_LABEL)
    yield made
    made.remove()


@pytest.fixture
def zone(stack: RegistryStack, case: Case) -> Iterator[dict[str, Any]]:
    """The settings of the zone, and what the stack's hostname is in it.

    A private one for what is internal and without TLS; no certificate is proven by one.
    """
    account, route53 = stack.sandbox.account, stack.sandbox.aws("route53")
    if (case.tls, case.scheme) != ("none", "internal"):
        yield {}
        return
    domain = f"{case}.test"
    vpc = {"VPCRegion": REGION, "VPCId": account.vpc_id}
    made = route53.create_hosted_zone(
        Name=domain, CallerReference=domain, VPC=vpc, HostedZoneConfig={"PrivateZone": True}
    )["HostedZone"]["Id"]
    yield {"hostname": f"registry.{domain}", "privateZone": True}
    for record in route53.list_resource_record_sets(HostedZoneId=made)["ResourceRecordSets"]:
        if record["Type"] not in ("NS", "SOA"):  # of a test that failed
            change = {"Action": "DELETE", "ResourceRecordSet": record}
            route53.change_resource_record_sets(HostedZoneId=made, ChangeBatch={"Changes": [change]})
    route53.delete_hosted_zone(Id=made)


@pytest.fixture
def settings(case: Case, zone: dict[str, Any]) -> dict[str, Any]:
    return case.settings | zone


def parameters(case: Case) -> Any:
    marks = [pytest.mark.short] if str(case) == SHORT else []
    return pytest.param(case, case.kind.cluster, id=str(case), marks=marks)


def in_each(cases: list[Any]) -> pytest.MarkDecorator:
    """Run a test with each pair of a case and a kind of sandbox, those of one kind one after the other."""
    return pytest.mark.parametrize(("case", "sandbox"), cases, indirect=["sandbox"], scope="module")


@in_each([parameters(case) for case in sorted(CASES + ROLES, key=lambda case: [*KINDS].index(case.name))])
def test_the_registry_is_reached_changed_and_taken_away(
    stack: RegistryStack, settings: dict[str, Any], zone: dict[str, Any], case: Case, tmp_path: Path
) -> None:
    zones = [one["Id"] for one in stack.sandbox.aws("route53").list_hosted_zones()["HostedZones"]]
    before = inventory(stack.sandbox, stack.name, zones)
    stack.up(**settings)
    await_answer(stack)

    found = balancer(stack)
    assert found
    assert (found.kind, found.target_type) == (case.kind.kind, case.kind.target_type)
    assert found.scheme == ("internal" if case.scheme == "internal" else "internet-facing")
    with_tls = {443: "HTTPS" if case.kind.kind == "classic" else "TLS"}
    assert found.listeners == ({80: "TCP"} if case.tls == "none" else with_tls)
    assert not found.client_addresses
    assert found.tags.items() >= {"project": "registry", "stack": stack.name}.items()

    assert held(stack) == HELD[case.identity]
    crane, image = stack.crane(), f"{stack.outputs['hostname']}/app:1"
    assert push(crane, image, tmp_path) == pull(crane, image, tmp_path)
    if case.tls == "acm":
        assert host_of_layers(stack) == f"{stack.bucket}.s3.{REGION}.amazonaws.com"
    the_node_pulls_an_image_and_runs_it(stack, tmp_path)
    assert stack.preview(**settings) == {}

    assert the_change_fails_no_request(stack, case.changed | zone)
    wait_for(lambda: case.is_changed(stack), f"load balancer with another {case.change[0]}")
    assert pull(crane, image, tmp_path) == crane("digest", image)

    stack.destroy()
    wait_for(lambda: inventory(stack.sandbox, stack.name, zones) == before, "end of all that the stack made")


def host_of_layers(stack: RegistryStack) -> str:
    """Where clients are led to for a layer, which they find there."""
    user, layer = client(stack), b"a layer that is fetched from S3"
    assert user.push("layers", "1", layer) == user.pull("layers", "1")
    led = user.request("GET", f"/v2/layers/blobs/{digest_of(layer)}")
    assert led.status_code == requests.codes.temporary_redirect
    return urlsplit(led.headers["Location"]).netloc


def the_change_fails_no_request(stack: RegistryStack, changed: dict[str, Any]) -> bool:
    """Deploy the settings under clients that pull and push all the time."""
    user, former = client(stack), pods_of(stack)
    digest = user.push("steady", "1", b"whatever its load balancer is told")
    with (
        Repeatedly(lambda: user.pull("steady", "1"), INTERVAL_SECONDS) as pulls,
        Repeatedly(lambda: user.push("moving", "1", b"again and again"), INTERVAL_SECONDS) as pushes,
    ):
        stack.up(**changed)
        # The load balancer may know the former pods as long as there are any.
        wait_for(lambda: len(stack.settled_pods()) == all_pods(stack), "end of the former pods", 4 * PATIENCE_SECONDS)
    assert (pulls.failures, pushes.failures) == ([], [])
    assert user.pull("steady", "1") == digest
    assert not pods_of(stack) & former
    return pulls.count > 1 and pushes.count > 1


def all_pods(stack: RegistryStack) -> int:
    """How many pods of the registry there are, those that end among them."""
    return len(stack.sandbox.get("pods", "--namespace", stack.name, "--selector=k8s-app=kube-registry")["items"])


@in_each([pytest.param(Case("ip-targets", "acm", "public"), SLOW_REGISTRATION, id="90s")])
def test_a_roll_waits_for_pods_that_are_registered_as_targets_after_minutes(
    stack: RegistryStack, settings: dict[str, Any], case: Case
) -> None:
    stack.up(**settings)
    await_answer(stack, 4 * PATIENCE_SECONDS)
    assert the_change_fails_no_request(stack, case.changed)


@pytest.mark.short
@pytest.mark.parametrize("sandbox", [LOAD_BALANCER_CONTROLLER], ids=["webhook"], indirect=True)
def test_what_the_cloud_controller_is_to_make_is_refused_where_it_gets_no_service(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    stack = RegistryStack(sandbox, "refused", tmp_path)
    for type_ in ("classic", "network"):
        with pytest.raises(automation.CommandError) as refused:
            stack.preview(loadBalancer={"type": type_})
        said = " ".join(str(refused.value).split())
        assert f"loadBalancer.type is '{type_}', but must be left out" in said
        assert f"this cluster gives each new Service the class {CONTROLLER_CLASS}" in said
        assert "pulumi config rm --path loadBalancer.type" in said
    stack.remove()
