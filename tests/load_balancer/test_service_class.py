"""Which kind of load balancer the stack's Service gets, and what the cluster is asked for it."""

from __future__ import annotations

from typing import Any

import pytest

from registry.load_balancer.annotations import PREFIX
from registry.load_balancer.kinds import Kind
from registry.load_balancer.service_class import Found, Refused, find, is_internal, kind_of
from registry.settings import LoadBalancerSettings

CONTROLLER, AUTO_MODE = "service.k8s.aws/nlb", "eks.amazonaws.com/nlb"


def service(service_class: str | None, namespace: str = "kube-system", **annotations: str) -> dict[str, Any]:
    metadata = {"namespace": namespace, "annotations": {f"{PREFIX}{name}": text for name, text in annotations.items()}}
    return {"metadata": metadata, "spec": {"loadBalancerClass": service_class} if service_class else {}}


def decided(live: dict[str, Any] | None, answer: str | Refused | None = None, **settings: Any) -> Found:
    return find(LoadBalancerSettings.model_validate(settings), "kube-system", live, lambda: answer)


def never() -> str:
    raise AssertionError("the cluster is not to be asked")


@pytest.mark.parametrize("live", [None, service(None), service(CONTROLLER)])
@pytest.mark.parametrize("given", [None, AUTO_MODE, Refused("denied")])
def test_a_class_that_is_set_is_taken_whatever_there_is(
    live: dict[str, Any] | None, given: str | Refused | None
) -> None:
    assert decided(live, given, **{"class": AUTO_MODE}) == Found(Kind.AUTO_MODE)


def test_a_service_that_has_the_class_that_is_set_asks_nothing() -> None:
    settings = LoadBalancerSettings.model_validate({"class": AUTO_MODE})
    assert find(settings, "kube-system", service(AUTO_MODE), never) == Found(Kind.AUTO_MODE)


@pytest.mark.parametrize("live", [None, service(None), service(CONTROLLER)])
def test_a_class_is_warned_of_where_the_cluster_gives_another(live: dict[str, Any] | None) -> None:
    found = decided(live, CONTROLLER, **{"class": AUTO_MODE})
    assert (found.kind, found.is_known, found.mistake) == (Kind.AUTO_MODE, True, None)
    told = f"loadBalancer.class is {AUTO_MODE}, and this cluster gives a new Service {CONTROLLER}"
    assert found.warning and found.warning.startswith(told)


def test_a_living_service_keeps_what_it_has_also_where_a_controller_is_installed_later() -> None:
    def kept(settings: LoadBalancerSettings, live: dict[str, Any]) -> Found:
        return find(settings, "kube-system", live, never)

    assert kept(LoadBalancerSettings(), service(None)) == Found(Kind.CLASSIC)
    assert kept(LoadBalancerSettings(), service(CONTROLLER)) == Found(Kind.CONTROLLER)
    assert kept(LoadBalancerSettings(type="network"), service(None, type="nlb")) == Found(Kind.NETWORK)
    assert kept(LoadBalancerSettings(internal=True), service(None, internal="true")) == Found(Kind.CLASSIC)


@pytest.mark.parametrize(
    ("live", "settings"),
    [(service(None), {"internal": True}), (service(None, "images"), {}), (service(None, internal="true"), {})],
)
def test_a_service_that_is_to_be_made_anew_takes_what_the_cluster_gives_a_new_one(
    live: dict[str, Any], settings: dict[str, Any]
) -> None:
    assert decided(live, CONTROLLER, **settings).kind is Kind.CONTROLLER
    assert decided(live, None, **settings) == Found(Kind.CLASSIC)


@pytest.mark.parametrize(
    ("live", "kind", "internal"),
    [
        (service(None), Kind.CLASSIC, False),
        (service(None, internal="false", scheme="internet-facing"), Kind.CLASSIC, False),
        (service(None, type="nlb", internal="true"), Kind.NETWORK, True),
        (service(CONTROLLER), Kind.CONTROLLER, True),
        (service(CONTROLLER, internal="false"), Kind.CONTROLLER, False),
        (service(AUTO_MODE, scheme="internet-facing"), Kind.AUTO_MODE, False),
        (service("example.com/nlb"), None, True),
    ],
)
def test_a_service_tells_its_kind_and_scheme_as_its_controller_reads_it(
    live: dict[str, Any], kind: Kind | None, internal: bool
) -> None:
    assert (kind_of(live), is_internal(live)) == (kind, internal)


def test_a_new_stack_takes_what_the_cluster_gives_and_says_so() -> None:
    assert decided(None) == Found(Kind.CLASSIC)
    found = decided(None, AUTO_MODE)
    assert found.kind is Kind.AUTO_MODE
    assert (
        found.note and "loadBalancer.class is not set: the Service gets the class eks.amazonaws.com/nlb" in found.note
    )


def test_a_type_leads_back_from_a_class() -> None:
    assert decided(service(CONTROLLER), type="classic") == Found(Kind.CLASSIC)


@pytest.mark.parametrize("live", [None, service(CONTROLLER), service(None)])
def test_a_type_is_refused_where_the_cluster_gives_every_service_a_class(live: dict[str, Any] | None) -> None:
    mistake = decided(live, CONTROLLER, type="network").mistake
    assert mistake and "loadBalancer.type is 'network', but must be left out, as this cluster gives" in mistake
    assert "pulumi config rm --path loadBalancer.type" in mistake


def test_a_class_that_the_stack_does_not_know_is_refused() -> None:
    mistake = decided(None, "example.com/nlb").mistake
    assert mistake and "example.com/nlb, which is what this cluster gives each new Service, is none" in mistake
    assert "pulumi config set --path loadBalancer.class service.k8s.aws/nlb" in mistake


def test_a_cluster_that_takes_no_service_is_told_with_its_reason() -> None:
    mistake = decided(None, Refused("no endpoints available")).mistake
    assert mistake and "it takes none: no endpoints available" in mistake


def test_who_may_not_ask_is_warned_and_told_the_setting() -> None:
    found = decided(None, Refused("services is forbidden", is_denied=True))
    assert (found.kind, found.is_known, found.mistake) == (Kind.CLASSIC, False, None)
    assert found.warning and "pulumi config set --path loadBalancer.class service.k8s.aws/nlb" in found.warning
