"""Who sent an IP packet to whom, from its first bytes. Pure; never raises, whatever the bytes."""

import struct
from ipaddress import IPv4Address, IPv6Address

from hostagent.network.contract import WakePacket

_PORTS = struct.Struct("!HH")
_WITH_PORTS = (6, 17, 33, 132, 136)
"""TCP, UDP, DCCP, SCTP, UDP-Lite: the first four bytes are the ports."""
_EXTENSIONS = (0, 43, 60)
"""IPv6 headers that another one follows: hop by hop, routing, destination options (RFC 8200)."""
_FRAGMENT = 44


def destination(data: bytes) -> bytes:
    """Return the destination's 4 or 16 bytes, whatever they are where the packet is cut short."""
    return data[16:20] if data[:1] < b"\x60" else data[24:40]


def parse(data: bytes) -> WakePacket | None:
    """Return what the packet says of itself; None when it is not the beginning of one."""
    if not data:
        return None
    if data[0] >> 4 == 4:
        return _ipv4(data)
    if data[0] >> 4 == 6:
        return _ipv6(data)
    return None


def _ipv4(data: bytes) -> WakePacket | None:
    if len(data) < 20:
        return None
    length = (data[0] & 0x0F) * 4
    protocol = data[9]
    first_fragment = not (data[6] & 0x1F or data[7])
    ports = _ports(data, length, protocol) if first_fragment and length >= 20 else (None, None)
    return WakePacket(IPv4Address(data[16:20]), IPv4Address(data[12:16]), protocol, *ports)


def _ipv6(data: bytes) -> WakePacket | None:
    if len(data) < 40:
        return None
    protocol, start = data[6], 40
    first_fragment = True
    while start + 8 <= len(data) and first_fragment:
        if protocol in _EXTENSIONS:
            protocol, start = data[start], start + 8 + data[start + 1] * 8
        elif protocol == _FRAGMENT:
            first_fragment = not (data[start + 2] or data[start + 3] & 0xF8)
            protocol, start = data[start], start + 8
        else:
            break
    ports = _ports(data, start, protocol) if first_fragment else (None, None)
    return WakePacket(IPv6Address(data[24:40]), IPv6Address(data[8:24]), protocol, *ports)


def _ports(data: bytes, start: int, protocol: int) -> tuple[int | None, int | None]:
    if protocol not in _WITH_PORTS or start + _PORTS.size > len(data):
        return None, None
    source, destination = _PORTS.unpack_from(data, start)
    return source, destination
