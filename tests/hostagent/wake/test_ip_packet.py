"""Who sends to whom, from the first bytes of a packet."""

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostagent.network.contract import WakePacket
from hostagent.wake.ip_packet import destination, parse

FOUR = (IPv4Address("10.0.0.1"), IPv4Address("10.211.0.2"))
SIX = (IPv6Address("fd00::1"), IPv6Address("fd7a::2"))
PORTS = struct.pack("!HH", 4711, 80)


def ipv4(protocol: int, payload: bytes, *, options: bytes = b"", fragment: int = 0) -> bytes:
    length = 20 + len(options)
    fixed = struct.pack(
        "!BBHHHBBH", 0x40 | length // 4, 0, length + len(payload), 1, fragment, 64, protocol, 0
    )
    return fixed + FOUR[0].packed + FOUR[1].packed + options + payload


def ipv6(header: int, payload: bytes) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(payload), header, 64) + SIX[0].packed + SIX[1].packed + payload


@pytest.mark.parametrize("protocol", [6, 17])
@pytest.mark.parametrize("options", [b"", b"\1" * 8, b"\1" * 40])
def test_ipv4(protocol: int, options: bytes) -> None:
    data = ipv4(protocol, PORTS, options=options)
    assert parse(data) == WakePacket(FOUR[1], FOUR[0], protocol, 4711, 80)
    assert destination(data) == FOUR[1].packed


def test_ipv4_without_ports() -> None:
    assert parse(ipv4(1, PORTS)) == WakePacket(FOUR[1], FOUR[0], 1)
    # a later fragment begins with data; the first one (more to come) has the header
    assert parse(ipv4(17, PORTS, fragment=0x2000)) == WakePacket(FOUR[1], FOUR[0], 17, 4711, 80)
    assert parse(ipv4(17, PORTS, fragment=0x0005)) == WakePacket(FOUR[1], FOUR[0], 17)
    assert parse(ipv4(17, PORTS[:3])) == WakePacket(FOUR[1], FOUR[0], 17)


def test_ipv6() -> None:
    assert parse(ipv6(6, PORTS)) == WakePacket(SIX[1], SIX[0], 6, 4711, 80)
    assert destination(ipv6(6, PORTS)) == SIX[1].packed
    assert parse(ipv6(58, PORTS)) == WakePacket(SIX[1], SIX[0], 58)
    hop_by_hop = bytes([60, 0]) + bytes(6)
    options = bytes([17, 1]) + bytes(14)
    assert parse(ipv6(0, hop_by_hop + options + PORTS)) == WakePacket(SIX[1], SIX[0], 17, 4711, 80)
    first, later = struct.pack("!BBHI", 17, 0, 1, 9), struct.pack("!BBHI", 17, 0, 8, 9)
    assert parse(ipv6(44, first + PORTS)) == WakePacket(SIX[1], SIX[0], 17, 4711, 80)
    assert parse(ipv6(44, later + PORTS)) == WakePacket(SIX[1], SIX[0], 17)


@given(st.binary(max_size=120))
def test_any_bytes(data: bytes) -> None:
    found = parse(data)
    assert found is None or len(data) >= 20
    assert found is None or destination(data) == found.destination.packed
