"""The health of target groups' targets, from their registration until they are drained."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.elbv2 import models as elbv2
from moto.elbv2.exceptions import TargetGroupNotFoundError

from sandbox.aws.moto_corrections.replacing import instead_of

_reports: list[Path] = []


def read_health_from(file: Path | None) -> None:
    """From now on tell the health that is written in `file`, see `sandbox.edge.target_health`.

    While there is no such file, no target gets further than its registration.
    """
    _reports[:] = [file] if file else []


@dataclass
class _Registration:
    """One target of a group, registered or draining."""

    id: str
    port: int
    drained_at: float | None = None
    """When draining ends, on the monotonic clock; None while registered."""


def follow_targets_from_registration_to_the_end_of_draining() -> None:
    """moto calls every target healthy as soon as it is registered, and forgets it when it is deregistered.

    It also takes targets with the same id and different ports for one, and refuses to deregister one that is not
    registered. In AWS a target is `unused` while no listener leads to its group, `initial` until the load balancer
    has found it healthy, and `draining` for the group's `deregistration_delay.timeout_seconds` after it was
    deregistered. https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html
    """

    @instead_of(elbv2.FakeTargetGroup, "register")
    def _(original: Any, self: elbv2.FakeTargetGroup, targets: list[dict[str, Any]]) -> None:
        original(self, targets)  # which refuses instances that don't run
        known = _registrations(self)
        for target in targets:
            key = _key(self, target)
            if key not in known or known[key].drained_at:
                known[key] = _Registration(*key)

    @instead_of(elbv2.FakeTargetGroup, "deregister")
    def _(_original: Any, self: elbv2.FakeTargetGroup, targets: list[dict[str, Any]]) -> None:
        for target in targets:
            _drain(self, _registrations(self).get(_key(self, target)))

    @instead_of(elbv2.FakeTargetGroup, "deregister_terminated_instances")
    def _(_original: Any, self: elbv2.FakeTargetGroup, instance_ids: list[str]) -> None:
        for registration in _registrations(self).values():
            if registration.id in instance_ids:
                _drain(self, registration)

    @instead_of(elbv2.ELBv2Backend, "describe_target_health")
    def _(_original: Any, self: elbv2.ELBv2Backend, target_group_arn: str, targets: list[dict[str, Any]]) -> list[Any]:
        group = _group(self, target_group_arn)
        known = _registrations(group)
        reported = _reported().get(group.arn, {})
        keys = [_key(group, target) for target in targets] if targets else list(known)
        return [
            elbv2.FakeHealthStatus(
                id, str(port), group.health_check_port, *_state(self, group, known.get((id, port)), reported)
            )
            for id, port in keys
        ]


def _group(backend: elbv2.ELBv2Backend, arn: str) -> elbv2.FakeTargetGroup:
    if arn not in backend.target_groups:
        raise TargetGroupNotFoundError
    return backend.target_groups[arn]


def _key(group: elbv2.FakeTargetGroup, target: dict[str, Any]) -> tuple[str, int]:
    return target["Id"], int(target.get("Port") or group.port)


def _registrations(group: elbv2.FakeTargetGroup) -> dict[tuple[str, int], _Registration]:
    """Return what is registered or draining, by id and port."""
    known: dict[tuple[str, int], _Registration] = vars(group).setdefault("registrations", {})
    for key, registration in list(known.items()):
        if registration.drained_at and registration.drained_at <= time.monotonic():
            known.pop(key, None)  # another thread may have been quicker
    return known


def _drain(group: elbv2.FakeTargetGroup, registration: _Registration | None) -> None:
    if registration and not registration.drained_at:
        registration.drained_at = time.monotonic() + int(group.attributes["deregistration_delay.timeout_seconds"])


def _state(
    backend: elbv2.ELBv2Backend,
    group: elbv2.FakeTargetGroup,
    registration: _Registration | None,
    reported: dict[str, list[str]],
) -> tuple[str, str | None, str | None]:
    """Return state, reason and description, in the words of AWS's TargetHealth.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
    """
    if not registration:
        return "unused", "Target.NotRegistered", "Target is not registered to the target group"
    if registration.drained_at:
        return "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
    instance = registration.id.startswith("i-") and backend.ec2_backend.get_instance_by_id(registration.id)
    if instance and instance.state == "stopped":
        return "unused", "Target.InvalidState", "Target is in the stopped state"
    if not backend._any_listener_using(group.arn):
        text = "Target group is not configured to receive traffic from the load balancer"
        return "unused", "Target.NotInUse", text
    if found := reported.get(f"{registration.id}:{registration.port}"):
        state, reason, description = found
        return state, reason or None, description or None
    return "initial", "Elb.RegistrationInProgress", "Target registration is in progress"


def _reported() -> dict[str, dict[str, list[str]]]:
    try:
        return json.loads(_reports[0].read_text()) if _reports else {}
    except FileNotFoundError:
        return {}
