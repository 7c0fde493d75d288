from __future__ import annotations

from ipaddress import ip_address

from streamserver.webrtc.addresses import MAX_CANDIDATES, host_candidates, interface_addresses, usable


def test_loopback_is_among_our_addresses_and_comes_last() -> None:
    addresses = interface_addresses()
    assert ip_address("127.0.0.1") in addresses
    loopback = [address.is_loopback for address in addresses]
    assert loopback == sorted(loopback)


def test_addresses_no_viewer_can_use_are_left_out() -> None:
    texts = ["fe80::1", "169.254.7.7", "10.0.0.1", "0.0.0.0", "fd00::2", "10.0.0.1", "ff02::1", "::1"]
    addresses = [ip_address(text) for text in texts]
    assert [str(address) for address in usable(addresses, ipv6=True)] == ["10.0.0.1", "fd00::2", "::1"]
    assert [str(address) for address in usable(addresses, ipv6=False)] == ["10.0.0.1"]


def test_candidates_have_falling_priorities_and_an_end() -> None:
    candidates = host_candidates([ip_address(f"10.0.0.{n}") for n in range(1, 40)], 59000)
    priorities = [candidate.priority for candidate in candidates]
    assert len(candidates) == MAX_CANDIDATES
    assert priorities == sorted(set(priorities), reverse=True)
    assert candidates[0].to_sdp().endswith("1 udp 2130706431 10.0.0.1 59000 typ host")
