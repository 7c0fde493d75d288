"""Netlink messages of the nfnetlink family (struct nlmsghdr and nfgenmsg), as bytes in and values out."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag

NETLINK_HEADER = struct.Struct("=IHHII")
"""Length with header, type, flags, sequence number, port."""
_GENERIC = struct.Struct("!BBH")
"""Address family, version, resource (a group or queue number)."""
HEADER_SIZE = NETLINK_HEADER.size + _GENERIC.size
"""Where a message's attributes begin."""
ERROR = 2
DONE = 3
_ERRNO = struct.Struct("=i")


class Subsystem(IntEnum):
    """NFNL_SUBSYS_* of linux/netfilter/nfnetlink.h: the high byte of a message's type."""

    CONNTRACK = 1
    QUEUE = 3
    LOG = 4


class Flag(IntFlag):
    """NLM_F_* of linux/netlink.h."""

    REQUEST = 0x1
    ACK = 0x4
    DUMP_INTERRUPTED = 0x10
    DUMP = 0x300


@dataclass(frozen=True, slots=True)
class Message:
    """One message inside a buffer."""

    kind: int
    """Subsystem in the high byte, command in the low one; `ERROR` and `DONE` for the protocol's own."""
    flags: int
    sequence: int
    family: int
    """AF_INET or AF_INET6, 0 in messages of the protocol's own."""
    resource: int
    start: int
    """Offset of the first attribute."""
    end: int


def build(
    subsystem: Subsystem,
    command: int,
    flags: Flag,
    sequence: int,
    attributes: bytes = b"",
    *,
    family: int = 0,
    resource: int = 0,
) -> bytes:
    """Return a whole message."""
    length = HEADER_SIZE + len(attributes)
    header = NETLINK_HEADER.pack(length, subsystem << 8 | command, flags | Flag.REQUEST, sequence, 0)
    return header + _GENERIC.pack(family, 0, resource) + attributes


def messages(data: bytes | memoryview) -> Iterator[Message]:
    """Yield the messages of one datagram; stops at whatever is cut short."""
    offset, end = 0, len(data)
    while offset + NETLINK_HEADER.size <= end:
        length, kind, flags, sequence, _ = NETLINK_HEADER.unpack_from(data, offset)
        if length < NETLINK_HEADER.size or offset + length > end:
            return
        if kind in (ERROR, DONE) or length < HEADER_SIZE:
            family, resource, start = 0, 0, offset + NETLINK_HEADER.size
        else:
            family, _, resource = _GENERIC.unpack_from(data, offset + NETLINK_HEADER.size)
            start = offset + HEADER_SIZE
        yield Message(kind, flags, sequence, family, resource, start, offset + length)
        offset += length + 3 & ~3


def error_number(data: bytes | memoryview, message: Message) -> int:
    """Return the errno of an ERROR or DONE message, 0 for an acknowledgement."""
    if message.start + _ERRNO.size > message.end:
        return 0
    (negative,) = _ERRNO.unpack_from(data, message.start)
    return -int(negative)
