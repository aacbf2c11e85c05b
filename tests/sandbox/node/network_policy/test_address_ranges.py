"""Sets of addresses."""

from __future__ import annotations

import pytest

from sandbox.node.network_policy.address_ranges import (
    EVERYBODY,
    NOBODY,
    Ranges,
    block,
    common,
    contains,
    union,
    without,
)


@pytest.mark.parametrize(
    ("cidr", "first", "last", "outside"),
    [
        ("10.1.0.0/16", "10.1.0.0", "10.1.255.255", "10.2.0.0"),
        ("10.1.2.3/32", "10.1.2.3", "10.1.2.3", "10.1.2.4"),
        ("10.1.2.3", "10.1.2.3", "10.1.2.3", "10.1.2.2"),
        ("10.1.2.3/24", "10.1.2.0", "10.1.2.255", "10.1.3.0"),
    ],
)
def test_a_block_has_its_first_and_last_address_and_no_other(cidr: str, first: str, last: str, outside: str) -> None:
    assert contains(block(cidr), first)
    assert contains(block(cidr), last)
    assert not contains(block(cidr), outside)


def test_a_block_of_ipv6_has_no_address_that_pods_could_meet() -> None:
    assert block("fd00::/8") == NOBODY
    assert block("0.0.0.0/0") == EVERYBODY


@pytest.mark.parametrize(
    ("ranges", "excluded", "left"),
    [
        (((10, 20),), ((12, 14),), ((10, 11), (15, 20))),
        (((10, 20),), ((0, 10), (20, 30)), ((11, 19),)),
        (((10, 20),), ((0, 30),), ()),
        (((10, 20), (30, 40)), ((15, 35),), ((10, 14), (36, 40))),
        (((10, 20),), (), ((10, 20),)),
        (((10, 20),), ((30, 40),), ((10, 20),)),
    ],
)
def test_what_is_excluded_is_not_left(ranges: Ranges, excluded: Ranges, left: Ranges) -> None:
    assert without(ranges, excluded) == left


def test_ranges_that_overlap_or_touch_are_one() -> None:
    assert union([((5, 9),), ((1, 3), (20, 30)), ((4, 4), (25, 40))]) == ((1, 9), (20, 40))
    assert union([]) == NOBODY


def test_common_are_the_addresses_of_both() -> None:
    assert common(((10, 20), (30, 40)), ((15, 35),)) == ((15, 20), (30, 35))
    assert common(EVERYBODY, ((3, 4),)) == ((3, 4),)
