"""What the controller that makes the load balancer said last of the stack's Service. It imports no Pulumi resource.

A Service that has a load balancer keeps it, whatever its controller then refuses: an update succeeds, and changes
nothing in AWS. Only the Service's events tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_REFUSED = {"SyncLoadBalancerFailed", "FailedBuildModel", "FailedDeployModel"}
_MADE = {"EnsuredLoadBalancer", "SuccessfullyReconciled"}
"""The reasons of events. The cloud controller's: k8s.io/cloud-provider, controllers/service/controller.go. The AWS Load
Balancer Controller's: pkg/k8s/events.go. Both try again, at least every quarter of an hour, and then say it again."""


def refusal(events: Iterable[Mapping[str, Any]]) -> str | None:
    """What to warn of, if the last word is that it cannot do as the Service says: `events` as the API server has them,
    for an hour."""
    last = max((one for one in events if one.get("reason") in _REFUSED | _MADE), key=_time, default=None)
    if last is None or last["reason"] in _MADE:
        return None
    message = " ".join(last.get("message", "").split())
    return (
        f"the load balancer is not as the stack's Service says, as its controller refused it, {last['reason']}: "
        f"{message[:500]}. Until it takes it, no change of the settings has an effect on the load balancer"
    )


def _time(event: Mapping[str, Any]) -> str:
    """RFC 3339 in UTC, so that texts sort as times do."""
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
