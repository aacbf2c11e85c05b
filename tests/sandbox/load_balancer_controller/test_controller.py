from __future__ import annotations

from sandbox.authority import Authority
from sandbox.layout import Layout
from sandbox.load_balancer_controller.__main__ import environment, flags
from sandbox.load_balancer_controller.admission import SERVICES_ANNOTATION, policies, webhooks
from tests.sandbox.account import ACCOUNT


def test_the_controller_is_told_the_network_and_to_call_the_emulated_cloud(layout: Layout) -> None:
    told = flags(layout, ACCOUNT)
    assert told["aws-vpc-id"] == "vpc-1"
    endpoints = dict(one.split("=") for one in told["aws-api-endpoints"].split(","))
    assert endpoints.keys() == {"ec2", "elasticloadbalancing", "acm", "sts", "tagging"}
    assert set(endpoints.values()) == {"http://127.9.0.1:4566"}


def test_no_secret_is_among_the_controllers_arguments(layout: Layout) -> None:
    assert ACCOUNT.secret_access_key not in " ".join(flags(layout, ACCOUNT).values())
    assert environment(ACCOUNT)["AWS_SECRET_ACCESS_KEY"] == ACCOUNT.secret_access_key


def test_the_api_server_asks_the_webhooks_at_the_sandboxs_own_address(layout: Layout) -> None:
    Authority.open(layout)
    urls = [hook["clientConfig"]["url"] for one in webhooks(layout) for hook in one["webhooks"]]
    assert len(urls) == 3
    assert all(url.startswith("https://127.9.0.1:9443/") for url in urls)


def test_each_policy_is_bound() -> None:
    kinds = {"MutatingAdmissionPolicy": set(), "MutatingAdmissionPolicyBinding": set()}
    for one in policies():
        kinds[one["kind"]].add(one["metadata"]["name"])
    assert kinds["MutatingAdmissionPolicy"] == kinds["MutatingAdmissionPolicyBinding"]
    assert "mservice.elbv2.k8s.aws" in kinds["MutatingAdmissionPolicy"]


def test_no_policy_is_passed_over_for_want_of_what_another_one_writes() -> None:
    """They are called in any order, and again only if they were called before, their conditions having held."""
    conditions = [condition["expression"] for one in policies() for condition in one["spec"].get("matchConditions", [])]
    assert conditions
    assert not [one for one in conditions if SERVICES_ANNOTATION in one and "params.spec.serviceRef" in one]
