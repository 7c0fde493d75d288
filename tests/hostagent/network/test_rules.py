"""The rules as text, where the kernel's answer says little."""

import pytest

from hostagent.errors import BadRequestError
from hostagent.instances.model import PublishedPort
from hostagent.network import rules
from hostagent.network.addressing import allocate
from hostagent.network.rules import Trapping
from tests.hostagent.own_host import POOL, new_id


def test_ignored_networks_are_sorted_by_version() -> None:
    trapping = Trapping(("192.168.1.1/24", "fd00::1/16", "10.0.0.1"))
    assert trapping.networks(4) == ["192.168.1.0/24", "10.0.0.1/32"]
    assert trapping.networks(6) == ["fd00::/16"]
    with pytest.raises(BadRequestError, match=r"ignore_source_cidrs.*nonsense"):
        Trapping(("nonsense",))


def test_who_can_queue_by_nft_needs_no_mark() -> None:
    by_nft = rules.base(POOL, Trapping(nft_queues=True, queue=7))
    assert "daddr @stopped4 queue num 7" in by_nft
    assert f"meta mark set meta mark or {rules.HOLD_MARK:#x}" not in by_nft
    by_mark = rules.base(POOL, Trapping())
    assert f"daddr @stopped6 meta mark set meta mark or {rules.HOLD_MARK:#x}" in by_mark
    assert "queue num" not in by_mark


def test_a_port_of_one_address_is_in_one_map() -> None:
    addresses = allocate(POOL, new_id(), [])
    both = rules.publications([PublishedPort(53, 5353, "udp")], addresses)
    assert {(one.map, one.element) for one in both} == {
        ("published4", f"udp . 53 : {addresses.ipv4} . 5353"),
        ("published6", f"udp . 53 : {addresses.ipv6} . 5353"),
    }
    (four,) = rules.publications([PublishedPort(80, 8080, "tcp", "192.0.2.1")], addresses)
    assert (four.map, four.element) == ("published_at4", f"192.0.2.1 . tcp . 80 : {addresses.ipv4} . 8080")
    (six,) = rules.publications([PublishedPort(80, 8080, "tcp", "2001:db8::1")], addresses)
    assert (six.map, six.key) == ("published_at6", "2001:db8::1 . tcp . 80")
