"""Packets that a rule logs to a group (linux/netfilter/nfnetlink_log.h)."""

import struct
from enum import IntEnum

from hostagent.netlink.attributes import HEADER, attribute, spans
from hostagent.netlink.message import HEADER_SIZE, Subsystem
from hostagent.netlink.socket import NetfilterSocket

SNAP_LENGTH = 96
"""Bytes of each packet that are told: enough for the largest IPv4 header, IPv6 with an extension, and the
ports.
"""


class _Message(IntEnum):
    """NFULNL_MSG_*."""

    PACKET = 0
    CONFIG = 1


PACKET = Subsystem.LOG << 8 | _Message.PACKET
"""The type of a message that tells of a packet."""


def bind(sock: NetfilterSocket, group: int) -> None:
    """Have the group's packets sent to this socket, each at once; raises OSError (EBUSY: another has the
    group).
    """
    command_bind, copy_packet = 1, 2
    sock.ask(Subsystem.LOG, _Message.CONFIG, attribute(1, bytes([command_bind])), resource=group)
    mode = attribute(2, struct.pack("!IBx", SNAP_LENGTH, copy_packet))
    at_once = attribute(5, struct.pack("!I", 1))
    sock.ask(Subsystem.LOG, _Message.CONFIG, mode + at_once, resource=group)


def first_payload(data: bytes | memoryview) -> bytes | None:
    """Return the payload of a datagram's first message, quickly: this is on the way of a wake."""
    offset, end = HEADER_SIZE, len(data)
    unpack = HEADER.unpack_from
    while offset + 4 <= end:
        length, kind = unpack(data, offset)
        if kind == 9:
            return bytes(data[offset + 4 : offset + length])
        if length < 4:
            return None
        offset += length + 3 & ~3
    return None


def payload(data: bytes | memoryview, start: int, end: int) -> bytes | None:
    """Return the packet's first bytes, from its IP header on (NFULA_PAYLOAD)."""
    for kind, first, last in spans(data, start, end):
        if kind == 9:
            return bytes(data[first:last])
    return None
