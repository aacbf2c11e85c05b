"""Which targets of a target group get connections: their states from registration to the end of draining.

A target is `initial` for the registration delay and until it has passed the health checks that its group asks for,
then `healthy` or `unhealthy`. Once deregistered it is `draining`: it keeps its connections, and for a while it still
gets new ones, as users of AWS have measured: for seconds up to two minutes
(https://github.com/aws/containers-roadmap/issues/470,
https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/2366).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Protocol

from sandbox.edge.routes import UnreachableError
from sandbox.edge.target_groups import TargetGroup, TargetId

REGISTRATION_DELAY_SECONDS = 3.0
"""AWS takes up to minutes."""
DEREGISTRATION_LAG_SECONDS = 5.0

INITIAL, HEALTHY, UNHEALTHY, DRAINING = "initial", "healthy", "unhealthy", "draining"
REGISTERING = ("Elb.RegistrationInProgress", "Target registration is in progress")
CHECKING = ("Elb.InitialHealthChecking", "Initial health checks in progress")
"""Reasons and descriptions of AWS's TargetHealth, as in `Failure`.
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html"""


@dataclass(frozen=True)
class Failure:
    """Why a health check failed, as AWS tells it."""

    reason: str
    """`Target.FailedHealthChecks`, `Target.Timeout` or `Target.ResponseCodeMismatch`."""
    description: str


class Connection(Protocol):
    """A connection to a target."""

    def abort(self) -> None:
        """Reset it."""
        ...


@dataclass(eq=False)
class RegisteredTarget:
    """A target of a group, from its registration until nothing more of it is to be known. Times are in seconds."""

    group: TargetGroup
    """As it was read last."""
    id: TargetId
    registered_at: float
    state: str = INITIAL
    reason: tuple[str, str] = REGISTERING
    """And its description; both are empty for a healthy target."""
    deregistered_at: float | None = None
    was_healthy: bool = False
    """When it was deregistered."""
    connections: set[Connection] = field(default_factory=set)
    _in_a_row: int = 0
    """Checks that came out like the last: successes, or as negative number failures."""

    def begin_checks(self) -> None:
        """Take the registration for done."""
        if self.state == INITIAL:
            self.reason = CHECKING

    def hear(self, failure: Failure | None) -> None:
        """Count a check's outcome, None for success; the group's thresholds decide what state follows."""
        if self.state == DRAINING:
            return
        if failure:
            self._in_a_row = min(self._in_a_row, 0) - 1
        else:
            self._in_a_row = max(self._in_a_row, 0) + 1
        if self._in_a_row >= self.group.check.healthy_threshold:
            self.state, self.reason = HEALTHY, ("", "")
        elif failure and -self._in_a_row >= self.group.check.unhealthy_threshold:
            if self.state == HEALTHY and self.group.ends_connections_when_unhealthy:
                self.end_connections()
            self.state, self.reason = UNHEALTHY, (failure.reason, failure.description)

    def drain(self, now: float) -> None:
        """Take the target for deregistered."""
        self.deregistered_at, self.was_healthy, self.state = now, self.state == HEALTHY, DRAINING

    def end_connections(self) -> None:
        """Reset all connections."""
        for connection in list(self.connections):
            connection.abort()


class Targets:
    """All targets that the edge knows of."""

    def __init__(
        self,
        registration_delay: float = REGISTRATION_DELAY_SECONDS,
        deregistration_lag: float = DEREGISTRATION_LAG_SECONDS,
    ) -> None:
        """Targets are not looked at for `registration_delay` seconds after their registration.

        They get new connections for `deregistration_lag` seconds after they were deregistered.
        """
        self.registration_delay = registration_delay
        self._deregistration_lag = deregistration_lag
        self._groups: dict[str, dict[TargetId, RegisteredTarget]] = {}
        self._turns: dict[str, itertools.count[int]] = {}

    def update(self, groups: list[TargetGroup], now: float) -> list[RegisteredTarget]:
        """Take `groups` for all that exist at the time `now`; return the targets that are new."""
        new: list[RegisteredTarget] = []
        found = {group.arn: group for group in groups}
        for arn in self._groups.keys() - found.keys():
            del self._groups[arn]
        for arn, group in found.items():
            targets = self._groups.setdefault(arn, {})
            for id, state in group.targets.items():
                known = targets.get(id)
                if state == "unused":
                    targets.pop(id, None)
                elif state == DRAINING:
                    if known and known.deregistered_at is None:
                        known.drain(now)
                elif known is None or known.deregistered_at is not None:
                    targets[id] = RegisteredTarget(group, id, now)
                    new.append(targets[id])
            for id, target in list(targets.items()):
                target.group = group
                if id not in group.targets:
                    self._see_off(targets, target, now)
        return new

    def _see_off(self, targets: dict[TargetId, RegisteredTarget], target: RegisteredTarget, now: float) -> None:
        """Let go of a target whose draining is over, or that AWS has no more of, once it gets no new connections."""
        if target.deregistered_at is None:
            target.drain(now)
        if not self._gets_connections(target, now):
            del targets[target.id]
            if target.group.ends_connections_when_drained:
                target.end_connections()

    def knows(self, target: RegisteredTarget) -> bool:
        """Tell whether `target` is registered still, and so is to be checked."""
        return target.deregistered_at is None and self._groups.get(target.group.arn, {}).get(target.id) is target

    def choose(self, arn: str, now: float) -> RegisteredTarget:
        """Return the target of the group `arn` for a new connection; those that may get one take turns.

        If no target is healthy and some are unhealthy, these get all connections, as in AWS ("fail open").
        Raises UnreachableError.
        """
        targets = sorted(self._groups.get(arn, {}).values(), key=lambda target: target.id)
        choice = [target for target in targets if self._gets_connections(target, now)]
        choice = choice or [target for target in targets if target.state == UNHEALTHY]
        if not choice:
            states = ", ".join(f"{target.id} is {' '.join([target.state, *target.reason[:1]])}" for target in targets)
            raise UnreachableError(
                f"the target group {arn.split('/')[-2]} has no target that gets connections "
                f"({states or 'none is registered'}): wait, or see why its health checks fail"
            )
        return choice[next(self._turns.setdefault(arn, itertools.count())) % len(choice)]

    def _gets_connections(self, target: RegisteredTarget, now: float) -> bool:
        if target.deregistered_at is None:
            return target.state == HEALTHY
        return target.was_healthy and now < target.deregistered_at + self._deregistration_lag

    def report(self) -> dict[str, dict[str, list[str]]]:
        """Return state, reason and description of each registered target, by its group's ARN and `id:port`."""
        return {
            arn: {
                str(target.id): [target.state, *target.reason]
                for target in targets.values()
                if target.deregistered_at is None
            }
            for arn, targets in self._groups.items()
        }
