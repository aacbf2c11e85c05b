"""What the load balancer's controller said last of the Service."""

from __future__ import annotations

from typing import Any

from registry.load_balancer.last_word import refusal


def event(reason: str, minute: int, message: str = "", field: str = "lastTimestamp") -> dict[str, Any]:
    at = f"2026-11-27T09:{minute:02}:00Z"
    return {"reason": reason, "message": message, "metadata": {"creationTimestamp": "2026-11-27T09:00:00Z"}, field: at}


def test_a_refusal_is_told_until_the_controller_succeeds() -> None:
    refused = event("FailedBuildModel", 5, "couldn't find\nall subnets")
    text = refusal([event("SuccessfullyReconciled", 1), refused, event("Killing", 9)])
    assert text and "refused it, FailedBuildModel: couldn't find all subnets. Until" in text
    assert refusal([refused, event("SuccessfullyReconciled", 6)]) is None


def test_the_cloud_controllers_attempts_are_no_success() -> None:
    found = [event("SyncLoadBalancerFailed", 4, "InvalidConfigurationRequest"), event("EnsuringLoadBalancer", 5)]
    text = refusal(found)
    assert text and "InvalidConfigurationRequest" in text
    assert refusal([*found, event("EnsuredLoadBalancer", 6)]) is None


def test_events_of_either_form_are_put_in_order() -> None:
    found = [event("EnsuredLoadBalancer", 6, field="eventTime"), event("SyncLoadBalancerFailed", 4)]
    assert refusal(found) is None


def test_without_events_there_is_nothing_to_tell() -> None:
    assert refusal([]) is None
