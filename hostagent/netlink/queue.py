"""Packets that a rule hands to a queue, and the verdicts on them (linux/netfilter/nfnetlink_queue.h)."""

import struct
from enum import IntEnum
from typing import Literal

from hostagent.netlink.attributes import attribute, spans
from hostagent.netlink.message import Flag, Subsystem, build
from hostagent.netlink.socket import NetfilterSocket

SNAP_LENGTH = 96
"""Bytes of each packet that are told; the whole packet stays in the kernel."""
Verdict = Literal["drop", "accept"]
_VERDICTS: dict[Verdict, int] = {"drop": 0, "accept": 1}
_BIND = 1
_U32 = struct.Struct("!I")


class _Message(IntEnum):
    """NFQNL_MSG_*."""

    PACKET = 0
    VERDICT = 1
    CONFIG = 2


PACKET = Subsystem.QUEUE << 8 | _Message.PACKET
"""The type of a message that tells of a packet."""


def bind(sock: NetfilterSocket, queue: int, most: int) -> None:
    """Have the queue's packets told to this socket, `most` waiting at once (the kernel drops further ones).

    Raises OSError (EBUSY or EPERM: another program has the queue). What waits is dropped when the socket
    closes.
    """
    copy_packet = 2
    command = attribute(1, struct.pack("!BxH", _BIND, 0))
    sock.ask(Subsystem.QUEUE, _Message.CONFIG, command, resource=queue)
    parameters = attribute(2, struct.pack("!IB", SNAP_LENGTH, copy_packet))
    longest = attribute(3, _U32.pack(most))
    sock.ask(Subsystem.QUEUE, _Message.CONFIG, parameters + longest, resource=queue)


def packet(data: bytes | memoryview, start: int, end: int) -> tuple[int, bytes] | None:
    """Return a packet's number and its first bytes, from its IP header on."""
    number = content = None
    for kind, first, last in spans(data, start, end):
        if kind == 1 and last - first >= 4:
            (number,) = _U32.unpack_from(data, first)
        elif kind == 10:
            content = bytes(data[first:last])
    if number is None or content is None:
        return None
    return number, content


def decide(sock: NetfilterSocket, queue: int, number: int, verdict: Verdict) -> None:
    """Let a waiting packet go on, or drop it; a number that no longer waits is ignored by the kernel."""
    header = attribute(2, struct.pack("!II", _VERDICTS[verdict], number))
    sock.send(build(Subsystem.QUEUE, _Message.VERDICT, Flag(0), 0, header, resource=queue))
