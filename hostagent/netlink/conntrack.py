"""The connection tracker's entries (linux/netfilter/nfnetlink_conntrack.h): dump requests, events, and a
filter for them. Reading one entry costs 6 µs; pyroute2 takes 160, which is too much for tables of 100,000.
"""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from hostagent.netlink.attributes import attribute, nested, spans
from hostagent.netlink.message import HEADER_SIZE, Subsystem
from hostagent.netlink.socket import Instruction, NetfilterSocket

Address = IPv4Address | IPv6Address

_U16 = struct.Struct("!H")
_U32 = struct.Struct("!I")
_U64 = struct.Struct("!Q")


class Command(IntEnum):
    """IPCTNL_MSG_CT_*."""

    NEW = 0
    GET = 1
    DELETE = 2


class Group(IntEnum):
    """The multicast groups of events (NFNLGRP_CONNTRACK_*)."""

    NEW = 1
    UPDATE = 2
    DESTROY = 3


class _Attribute(IntEnum):
    """CTA_*, those that we send; `parse` has the numbers in its hot loop."""

    TUPLE_ORIGINAL = 1
    MARK = 8
    MARK_MASK = 21


@dataclass(frozen=True, slots=True)
class Entry:
    """One tracked connection. The addresses are bytes, 4 or 16: most entries are looked at and dropped."""

    protocol: int
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    reply_source: bytes
    reply_source_port: int
    tcp_state: int | None
    mark: int
    packets: int | None
    """Of the original direction; None where the kernel does not count or the message does not say."""


def address(packed: bytes) -> Address:
    """Return the address of 4 or 16 bytes."""
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def parse(data: bytes | memoryview, start: int, end: int) -> Entry | None:
    """Read one entry's attributes; None when a tuple is missing or is none of IPv4 or IPv6."""
    original = reply = None
    state = packets = None
    mark = 0
    for kind, first, last in spans(data, start, end):
        if kind == 1:
            original = _tuple(data, first, last)
        elif kind == 2:
            reply = _tuple(data, first, last)
        elif kind == 4:
            state = _tcp_state(data, first, last)
        elif kind == 8 and last - first >= 4:
            (mark,) = _U32.unpack_from(data, first)
        elif kind == 9:
            packets = _packets(data, first, last)
    if original is None or reply is None:
        return None
    protocol, source, source_port, destination, destination_port = original
    return Entry(
        protocol, source, source_port, destination, destination_port, reply[1], reply[2], state, mark, packets
    )


def _tuple(data: bytes | memoryview, start: int, end: int) -> tuple[int, bytes, int, bytes, int] | None:
    """CTA_TUPLE_*: CTA_TUPLE_IP {V4_SRC 1, V4_DST 2, V6_SRC 3, V6_DST 4}, CTA_TUPLE_PROTO {NUM 1, SRC 2,
    DST 3}.
    """
    source = destination = b""
    protocol = source_port = destination_port = 0
    for kind, first, last in spans(data, start, end):
        if kind == 1:
            for part, begin, stop in spans(data, first, last):
                if part in (1, 3):
                    source = bytes(data[begin:stop])
                elif part in (2, 4):
                    destination = bytes(data[begin:stop])
        elif kind == 2:
            for part, begin, stop in spans(data, first, last):
                if part == 1 and stop > begin:
                    protocol = data[begin]
                elif part == 2 and stop - begin >= 2:
                    (source_port,) = _U16.unpack_from(data, begin)
                elif part == 3 and stop - begin >= 2:
                    (destination_port,) = _U16.unpack_from(data, begin)
    if len(source) not in (4, 16) or len(destination) != len(source):
        return None
    return protocol, source, source_port, destination, destination_port


def _tcp_state(data: bytes | memoryview, start: int, end: int) -> int | None:
    for kind, first, last in spans(data, start, end):
        if kind == 1:
            for part, begin, stop in spans(data, first, last):
                if part == 1 and stop > begin:
                    return int(data[begin])
    return None


def _packets(data: bytes | memoryview, start: int, end: int) -> int | None:
    for kind, first, last in spans(data, start, end):
        if kind == 1 and last - first >= 8:
            return int(_U64.unpack_from(data, first)[0])
    return None


def by_mark(mark: int) -> bytes:
    """Return a dump request's attributes: only entries that have all bits of `mark`."""
    return attribute(_Attribute.MARK, _U32.pack(mark)) + attribute(_Attribute.MARK_MASK, _U32.pack(mark))


def by_tuple(entry: Entry) -> bytes:
    """Return a request's attributes that name one entry: by its original direction."""
    source_kind, destination_kind = (1, 2) if len(entry.source) == 4 else (3, 4)
    return nested(
        _Attribute.TUPLE_ORIGINAL,
        nested(1, attribute(source_kind, entry.source), attribute(destination_kind, entry.destination)),
        nested(
            2,
            attribute(1, bytes([entry.protocol])),
            attribute(2, _U16.pack(entry.source_port)),
            attribute(3, _U16.pack(entry.destination_port)),
        ),
    )


def marked(sock: NetfilterSocket, mark: int, answerer: Address | None = None) -> Iterator[Entry]:
    """Dump entries that have all bits of `mark`; with `answerer` only those whose replies come from it.

    The kernel selects by mark. Selecting by address (CTA_FILTER) is left to us: Linux compares IPv6
    addresses the wrong way round there (seen on 6.18), and old kernels cannot. Must be read to its end;
    raises OSError.
    """
    request = by_mark(mark)
    packed = b"" if answerer is None else answerer.packed
    family = 0 if answerer is None else socket.AF_INET if answerer.version == 4 else socket.AF_INET6
    for data, message in sock.dump(Subsystem.CONNTRACK, Command.GET, request, family=family):
        if packed in bytes(data[message.start : message.end]):
            entry = parse(data, message.start, message.end)
            if entry is None or entry.mark & mark != mark or (packed and entry.reply_source != packed):
                continue
            yield entry


def forget(sock: NetfilterSocket, entry: Entry) -> None:
    """Remove an entry; nothing happens when it is gone already. Raises OSError."""
    family = socket.AF_INET if len(entry.source) == 4 else socket.AF_INET6
    try:
        sock.ask(Subsystem.CONNTRACK, Command.DELETE, by_tuple(entry), family=family)
    except FileNotFoundError:
        return


def only_marked(mark: int) -> list[Instruction]:
    """Return a filter for a socket of events: pass those with all bits of `mark`, which is one bit or more.

    The kernel looks up the attribute itself (SKF_AD_NLATTR), so a foreign event costs us nothing but this.
    """
    load_word, load_index, copy_to_index, load_indexed = 0x20, 0x01, 0x07, 0x40
    mask, equal, answer = 0x54, 0x15, 0x06
    find_attribute = 0xFFFFF000 + 12
    return [
        (load_index, 0, 0, _Attribute.MARK),
        (0x00, 0, 0, HEADER_SIZE),
        (load_word, 0, 0, find_attribute),
        (equal, 4, 0, 0),
        (copy_to_index, 0, 0, 0),
        (load_indexed, 0, 0, 4),
        (mask, 0, 0, mark),
        (equal, 1, 0, mark),
        (answer, 0, 0, 0),
        (answer, 0, 0, 0xFFFFFFFF),
    ]
