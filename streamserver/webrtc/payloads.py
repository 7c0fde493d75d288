"""Encoded frames cut into RTP payloads: H.264 (RFC 6184, packetization-mode 1) and Opus (RFC 7587). Pure."""

from __future__ import annotations

MAX_PAYLOAD = 1180
"""Bytes. With header, extensions and SRTP's trailer a packet is 1232 at most: it fits IPv6's smallest MTU,
1280, whatever tunnel a viewer is behind.
"""

_START_CODE = b"\0\0\1"
_STAP_A = 24
_FU_A = 28
_FU_START, _FU_END = 0x80, 0x40


def nal_units(access_unit: bytes) -> list[bytes]:
    """Return the NAL units of an access unit in Annex-B form, without start codes."""
    units = []
    start = access_unit.find(_START_CODE)
    while start >= 0:
        start += 3
        following = access_unit.find(_START_CODE, start)
        # No NAL unit ends with a zero byte: those before a start code belong to it (H.264 B.1.1).
        unit = access_unit[start : following if following >= 0 else None].rstrip(b"\0")
        if unit:
            units.append(unit)
        start = following
    return units


def h264_payloads(access_unit: bytes, limit: int = MAX_PAYLOAD) -> list[bytes]:
    """Cut an access unit into payloads of at most `limit` bytes.

    Small neighbours (parameter sets) share a STAP-A; a large unit becomes FU-A fragments that are all as long
    as possible but the last, so that many leave in one system call.
    """
    payloads: list[bytes] = []
    small: list[bytes] = []
    room = limit - 1
    for unit in nal_units(access_unit):
        if small and len(unit) + 2 > room:
            payloads.append(_aggregate(small))
            small, room = [], limit - 1
        if len(unit) > limit:
            payloads += _fragments(unit, limit)
        else:
            small.append(unit)
            room -= len(unit) + 2
    if small:
        payloads.append(_aggregate(small))
    return payloads


def opus_payloads(packet: bytes) -> list[bytes]:
    """Return the packet: one Opus packet is one payload."""
    return [packet] if packet else []


def _aggregate(units: list[bytes]) -> bytes:
    """Return the unit itself if there is one, else a STAP-A (RFC 6184 §5.7.1)."""
    if len(units) == 1:
        return units[0]
    forbidden = max(unit[0] & 0x80 for unit in units)
    importance = max(unit[0] & 0x60 for unit in units)
    parts = [bytes((forbidden | importance | _STAP_A,))]
    for unit in units:
        parts += (len(unit).to_bytes(2, "big"), unit)
    return b"".join(parts)


def _fragments(unit: bytes, limit: int) -> list[bytes]:
    """Return the unit in FU-A fragments (RFC 6184 §5.8)."""
    indicator, kind = unit[0] & 0xE0 | _FU_A, unit[0] & 0x1F
    size = limit - 2
    last = len(unit) - size
    fragments = []
    for start in range(1, len(unit), size):
        flags = (_FU_START if start == 1 else 0) | (_FU_END if start >= last else 0)
        fragments.append(bytes((indicator, flags | kind)) + unit[start : start + size])
    return fragments
