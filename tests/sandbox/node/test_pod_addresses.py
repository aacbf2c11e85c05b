from __future__ import annotations

import pytest

from sandbox.node.pod_addresses import PodAddresses


def test_addresses_are_of_the_network_beyond_what_is_reserved_and_none_twice() -> None:
    addresses = PodAddresses("10.9.0.0/16")
    taken = [addresses.take() for _ in range(65536 - 256 - 1)]
    assert len(set(taken)) == len(taken)
    assert {"10.9.1.0", "10.9.255.254"} < set(taken)
    assert not any(address.startswith("10.9.0.") or address == "10.9.255.255" for address in taken)


def test_a_released_address_comes_back_last() -> None:
    addresses = PodAddresses("10.9.0.0/16")
    first = addresses.take()
    addresses.release(first)
    assert first not in {addresses.take() for _ in range(1000)}


def test_an_exhausted_network_says_so() -> None:
    addresses = PodAddresses("10.9.0.0/23")
    for _ in range(255):
        addresses.take()
    with pytest.raises(RuntimeError, match=r"no free pod address in 10\.9\.0\.0/23: 255 are in use"):
        addresses.take()
    addresses.release("10.9.1.7")
    assert addresses.take() == "10.9.1.7"
