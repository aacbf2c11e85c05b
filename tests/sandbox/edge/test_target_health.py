"""From a target's registration to the end of its draining, by a clock of the tests' own."""

from __future__ import annotations

import pytest

from sandbox.edge.routes import UnreachableError
from sandbox.edge.target_groups import HealthCheck, TargetGroup, TargetId
from sandbox.edge.target_health import Failure, RegisteredTarget, Targets
from tests.sandbox.edge.world import GROUP

FIRST, SECOND = TargetId("10.1.2.3", 5000), TargetId("10.1.2.4", 5000)
TIMEOUT = Failure("Target.Timeout", "Request timed out")
CHECK = HealthCheck(healthy_threshold=3, unhealthy_threshold=2)


def group(states: dict[TargetId, str], *, ends_when_drained: bool = False, ends_when_unhealthy: bool = True):
    return TargetGroup(GROUP, "registry", CHECK, states, ends_when_drained, ends_when_unhealthy)


def registered(targets: Targets, *ids: TargetId, now: float = 0) -> list[RegisteredTarget]:
    return targets.update([group(dict.fromkeys(ids, "initial"))], now)


def pass_checks(*targets: RegisteredTarget, times: int = CHECK.healthy_threshold) -> None:
    for target in targets * times:
        target.hear(None)


def chosen(targets: Targets, now: float = 1) -> list[TargetId]:
    """Whom the next four connections come to."""
    return [targets.choose(GROUP, now).id for _ in range(4)]


class Connection:
    def __init__(self) -> None:
        self.is_open = True

    def abort(self) -> None:
        self.is_open = False


def test_a_target_is_initial_until_it_has_passed_as_many_checks_as_its_group_asks_for() -> None:
    targets = Targets()
    (target,) = registered(targets, FIRST)
    reports = [targets.report()[GROUP][str(FIRST)]]
    target.begin_checks()
    for _ in range(3):
        reports.append(targets.report()[GROUP][str(FIRST)])
        with pytest.raises(UnreachableError, match=r"registry has no target .*10\.1\.2\.3:5000 is initial Elb\."):
            targets.choose(GROUP, 1)
        target.hear(None)
    reports.append(targets.report()[GROUP][str(FIRST)])
    assert [f"{state} {reason}".rstrip() for state, reason, _ in reports] == [
        "initial Elb.RegistrationInProgress",
        *["initial Elb.InitialHealthChecking"] * 3,
        "healthy",
    ]
    assert targets.choose(GROUP, 1).id == FIRST


def test_a_failure_between_begins_the_count_anew() -> None:
    (target,) = registered(Targets(), FIRST)
    for failure in (None, None, TIMEOUT, None, None):
        target.hear(failure)
    assert target.state == "initial"
    target.hear(None)
    assert target.state == "healthy"


def test_healthy_targets_take_turns_and_an_unhealthy_one_gets_nothing_until_it_is_healthy_again() -> None:
    targets = Targets()
    first, second = registered(targets, FIRST, SECOND)
    pass_checks(first, second)
    assert chosen(targets) == [FIRST, SECOND, FIRST, SECOND]
    first.hear(TIMEOUT)
    assert first.state == "healthy"
    first.hear(TIMEOUT)
    assert targets.report()[GROUP][str(FIRST)] == ["unhealthy", "Target.Timeout", "Request timed out"]
    assert set(chosen(targets)) == {SECOND}
    pass_checks(first)
    assert set(chosen(targets)) == {FIRST, SECOND}


def test_if_all_are_unhealthy_all_get_connections() -> None:
    targets = Targets()
    for target in registered(targets, FIRST, SECOND):
        target.hear(TIMEOUT)
        target.hear(TIMEOUT)
    assert set(chosen(targets)) == {FIRST, SECOND}


def test_a_deregistered_target_gets_new_connections_for_the_lag_and_no_longer() -> None:
    targets = Targets(deregistration_lag=5)
    pass_checks(*registered(targets, FIRST, SECOND))
    draining = group({FIRST: "draining", SECOND: "healthy"})
    targets.update([draining], 10)
    assert set(chosen(targets, now=14.9)) == {FIRST, SECOND}
    targets.update([draining], 15)
    assert set(chosen(targets, now=15)) == {SECOND}
    assert list(targets.report()[GROUP]) == [str(SECOND)]


def test_the_lag_holds_though_draining_is_over_at_once() -> None:
    targets = Targets(deregistration_lag=5)
    pass_checks(*registered(targets, FIRST))
    targets.update([group({})], 10)
    assert targets.choose(GROUP, 14).id == FIRST
    targets.update([group({})], 15)
    with pytest.raises(UnreachableError, match="none is registered"):
        targets.choose(GROUP, 15)


def test_a_target_that_was_never_healthy_gets_nothing_when_it_is_deregistered() -> None:
    targets = Targets(deregistration_lag=5)
    registered(targets, FIRST)
    targets.update([group({FIRST: "draining"})], 10)
    with pytest.raises(UnreachableError, match="is draining"):
        targets.choose(GROUP, 11)


def test_a_target_that_comes_back_while_it_drains_begins_anew() -> None:
    targets = Targets()
    pass_checks(*registered(targets, FIRST))
    targets.update([group({FIRST: "draining"})], 10)
    (again,) = registered(targets, FIRST, now=12)
    assert (again.state, again.registered_at) == ("initial", 12)


def test_targets_of_a_group_that_no_listener_leads_to_are_not_known() -> None:
    targets = Targets()
    (target,) = registered(targets, FIRST)
    targets.update([group({FIRST: "unused"})], 10)
    assert not targets.knows(target)
    assert targets.report() == {GROUP: {}}
    targets.update([], 11)
    assert targets.report() == {}


@pytest.mark.parametrize("ends", [True, False])
def test_the_group_says_whether_connections_end_with_draining(ends: bool) -> None:
    targets, connection = Targets(deregistration_lag=0), Connection()
    (target,) = targets.update([group({FIRST: "initial"}, ends_when_drained=ends)], 0)
    target.connections.add(connection)
    targets.update([group({FIRST: "draining"}, ends_when_drained=ends)], 10)
    assert connection.is_open
    targets.update([group({}, ends_when_drained=ends)], 310)
    assert connection.is_open is not ends


@pytest.mark.parametrize("ends", [True, False])
def test_the_group_says_whether_connections_end_when_their_target_becomes_unhealthy(ends: bool) -> None:
    targets, connection = Targets(), Connection()
    (target,) = targets.update([group({FIRST: "initial"}, ends_when_unhealthy=ends)], 0)
    pass_checks(target)
    target.connections.add(connection)
    target.hear(TIMEOUT)
    assert connection.is_open
    target.hear(TIMEOUT)
    assert connection.is_open is not ends


@pytest.mark.parametrize(("codes", "accepted"), [("200", [200]), ("200-399", [200, 301, 399]), ("200,401", [200, 401])])
def test_status_codes_are_numbers_and_ranges(codes: str, accepted: list[int]) -> None:
    check = HealthCheck(status_codes=codes)
    assert [status for status in (199, 200, 301, 399, 401, 503) if check.accepts(status)] == accepted
