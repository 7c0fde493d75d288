"""Addresses: nobody gets what another has, and everybody gets something while something is left."""

from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostagent.instances.model import Addresses, InstanceId
from hostagent.network.addressing import NoAddressLeftError, Pool, allocate, host_mac

ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=24, max_size=24).map(InstanceId)

crowds = st.lists(ids, unique=True, max_size=60)


def pool(four: int, six: int, uids: int) -> Pool:
    return Pool(IPv4Network(f"10.9.0.0/{four}"), IPv6Network(f"fd00:1::/{six}"), 1000, uids)


@given(st.integers(24, 32), st.integers(116, 128), st.integers(1, 300), crowds)
def test_until_none_is_left_all_are_different(
    four: int, six: int, uids: int, instances: list[InstanceId]
) -> None:
    small = pool(four, six, uids)
    given_out: list[Addresses] = []
    for instance in instances:
        if len(given_out) >= small.size:
            with pytest.raises(NoAddressLeftError, match=str(small.subnet4)):
                allocate(small, instance, given_out)
            continue
        got = allocate(small, instance, given_out)
        assert got.ipv4 in small.subnet4
        assert got.ipv6 in small.subnet6
        assert got.ipv4 not in (small.subnet4[0], small.gateway4, small.subnet4[-1])
        assert got.ipv6 not in (small.subnet6[0], small.gateway6)
        assert 1000 <= got.uid < 1000 + uids
        assert len(got.link) <= 15
        assert int(got.mac[:2], 16) & 3 == 2
        assert host_mac(got.mac) != got.mac
        assert host_mac(host_mac(got.mac)) == got.mac
        given_out.append(got)
    for field in ("ipv4", "ipv6", "mac", "link", "netns", "uid"):
        assert len({getattr(got, field) for got in given_out}) == len(given_out)


@given(ids)
def test_the_same_instance_gets_the_same_while_it_is_free(instance: InstanceId) -> None:
    first = allocate(pool(16, 64, 65536), instance, [])
    assert allocate(pool(16, 64, 65536), instance, []) == first
    assert allocate(pool(16, 64, 65536), instance, [first]).ipv4 != first.ipv4


def test_a_pool_without_room_says_so() -> None:
    with pytest.raises(NoAddressLeftError, match=r"0 addresses"):
        allocate(pool(31, 64, 10), InstanceId("a" * 24), [])
