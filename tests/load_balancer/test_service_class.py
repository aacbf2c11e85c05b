"""Which kind of load balancer the stack's Service gets, and what the cluster is asked for it."""

from __future__ import annotations

from typing import Any

import pytest

from registry.load_balancer.kinds import Kind
from registry.load_balancer.service_class import Found, Refused, find
from registry.settings import LoadBalancerSettings

CONTROLLER, AUTO_MODE = "service.k8s.aws/nlb", "eks.amazonaws.com/nlb"


def service(service_class: str | None) -> dict[str, Any]:
    return {"metadata": {}, "spec": {"loadBalancerClass": service_class} if service_class else {}}


def decided(live: dict[str, Any] | None, answer: str | Refused | None = None, **settings: Any) -> Found:
    return find(LoadBalancerSettings.model_validate(settings), live, lambda: answer)


def never() -> str:
    raise AssertionError("the cluster is not to be asked")


@pytest.mark.parametrize("live", [None, service(None), service(CONTROLLER)])
def test_a_class_that_is_set_is_taken_whatever_there_is(live: dict[str, Any] | None) -> None:
    settings = LoadBalancerSettings.model_validate({"class": AUTO_MODE})
    assert find(settings, live, never) == Found(Kind.AUTO_MODE)


def test_a_living_service_keeps_what_it_has_also_where_a_controller_is_installed_later() -> None:
    assert find(LoadBalancerSettings(), service(None), never) == Found(Kind.CLASSIC)
    assert find(LoadBalancerSettings(), service(CONTROLLER), never) == Found(Kind.CONTROLLER)
    assert find(LoadBalancerSettings(type="network"), service(None), never) == Found(Kind.NETWORK)


def test_a_new_stack_takes_what_the_cluster_gives_and_says_so() -> None:
    assert decided(None) == Found(Kind.CLASSIC)
    found = decided(None, AUTO_MODE)
    assert found.kind is Kind.AUTO_MODE
    assert (
        found.note and "loadBalancer.class is not set: the Service gets the class eks.amazonaws.com/nlb" in found.note
    )


def test_a_type_leads_back_from_a_class() -> None:
    assert decided(service(CONTROLLER), type="classic") == Found(Kind.CLASSIC)


@pytest.mark.parametrize("live", [None, service(CONTROLLER)])
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
    assert (found.kind, found.mistake) == (Kind.CLASSIC, None)
    assert found.warning and "pulumi config set --path loadBalancer.class service.k8s.aws/nlb" in found.warning
