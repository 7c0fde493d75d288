"""Which packets of SCTP aiortc gets to see (RFC 9260 §3, RFC 3758 §3.2, RFC 6525 §3.1). Pure.

aiortc believes the lengths and ranges in a packet: a parameter of length 0 keeps it reading for ever, and one
acknowledgement can make it count to twenty million. Any viewer whose DTLS is up can send either, and the room
would stand still for everybody.
"""

from __future__ import annotations

import struct

HEADER_LENGTH = 12
MAX_CHUNKS = 64
"""Chunks in one packet; 33 movements of a mouse fill one."""

MAX_ACKNOWLEDGED = 4096
"""Chunks that one acknowledgement may speak of; we have some dozens under way at most."""

_CHUNK = struct.Struct("!BBH")
_PARAMETER = struct.Struct("!HH")
_DATA, _SACK, _FORWARD_TSN = 0, 3, 192
_BEFORE_PARAMETERS = {1: 16, 2: 16, 4: 0, 5: 0, 6: 0, 9: 0, 130: 0}
"""Bytes before the parameters or causes of the chunks that have such: INIT, INIT ACK, HEARTBEAT, HEARTBEAT
ACK, ABORT, ERROR, RE-CONFIG."""


class BadPacketError(ValueError):
    """A packet that no honest SCTP sends; the text says why."""


def count_chunks(packet: bytes) -> int:
    """Return how many chunks a packet has. Its checksum and tag are aiortc's to check.

    Raises:
        BadPacketError: aiortc must not see it.
    """
    position, chunks = HEADER_LENGTH, 0
    while position + _CHUNK.size <= len(packet):
        kind, _flags, length = _CHUNK.unpack_from(packet, position)
        if length < _CHUNK.size or position + length > len(packet):
            raise BadPacketError("a chunk of impossible length")
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise BadPacketError("too many chunks")
        _check(kind, packet[position + _CHUNK.size : position + length])
        position += length + -length % 4
    if not chunks:
        raise BadPacketError("no chunk")
    return chunks


def _check(kind: int, body: bytes) -> None:
    if kind == _DATA:
        if len(body) <= 12:
            raise BadPacketError("data without content")
    elif kind == _SACK:
        _check_acknowledgement(body)
    elif kind == _FORWARD_TSN:
        if len(body) < 4 or len(body) % 4:
            raise BadPacketError("a forward TSN of impossible length")
    elif (before := _BEFORE_PARAMETERS.get(kind)) is not None:
        _check_parameters(body, before)


def _check_acknowledgement(body: bytes) -> None:
    if len(body) < 12:
        raise BadPacketError("an acknowledgement that is too short")
    gaps, duplicates = struct.unpack_from("!HH", body, 8)
    if len(body) != 12 + 4 * (gaps + duplicates):
        raise BadPacketError("an acknowledgement of impossible length")
    acknowledged = 0
    for start, end in struct.iter_unpack("!HH", body[12 : 12 + 4 * gaps]):
        if end < start:
            raise BadPacketError("an acknowledgement of less than nothing")
        acknowledged += end - start + 1
    if acknowledged > MAX_ACKNOWLEDGED:
        raise BadPacketError("an acknowledgement of too much")


def _check_parameters(body: bytes, before: int) -> None:
    if len(body) < before:
        raise BadPacketError("a chunk that is too short")
    position = before
    while position + _PARAMETER.size <= len(body):
        _kind, length = _PARAMETER.unpack_from(body, position)
        if length < _PARAMETER.size or position + length > len(body):
            raise BadPacketError("a parameter of impossible length")
        position += length + -length % 4
