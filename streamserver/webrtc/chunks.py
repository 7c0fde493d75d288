"""RTP packets of one frame, laid out once; each viewer's numbers are written into a copy. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAX_SEGMENTS = 16
"""Packets in one chunk: what leaves in one system call, and at once."""

ABS_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"

_VERSION, _EXTENDED, _MARKER = 0x80, 0x10, 0x80
_ONE_BYTE_HEADER = 0xBEDE
_PLAIN = struct.Struct("!HII")
_TIMED = struct.Struct("!HIIII")


@dataclass(frozen=True, slots=True)
class Layout:
    """What the packets of viewers that agreed on the same things have in common.

    `abs_send_time_id`, `playout_delay_id`: ids of these header extensions, None where the viewer does not
    want one. `trailer`: bytes that SRTP adds behind each packet.
    """

    payload_type: int
    trailer: int
    mid: bytes = b""
    mid_id: int | None = None
    abs_send_time_id: int | None = None
    playout_delay_id: int | None = None

    def header(self, *, marker: bool) -> bytes:
        """Return an RTP header with extensions, its numbers zero (RFC 3550 §5.1, RFC 8285 §4.2).

        abs-send-time comes first, so that it is written together with the other numbers.
        """
        elements = b""
        if self.abs_send_time_id is not None:
            elements += bytes((self.abs_send_time_id << 4 | 2, 0, 0, 0))
        if self.mid_id is not None and 0 < len(self.mid) <= 16:
            elements += bytes((self.mid_id << 4 | len(self.mid) - 1,)) + self.mid
        if self.playout_delay_id is not None:
            elements += bytes((self.playout_delay_id << 4 | 2, 0, 0, 0))
        first = _VERSION | (_EXTENDED if elements else 0)
        head = bytes((first, self.payload_type | (_MARKER if marker else 0))) + bytes(10)
        if not elements:
            return head
        elements += bytes(-len(elements) % 4)
        return head + struct.pack("!HH", _ONE_BYTE_HEADER, len(elements) // 4) + elements


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Up to `MAX_SEGMENTS` packets, all of one length but a shorter last, each with room for SRTP's trailer.

    `places`: offset and length of each packet without its trailer. `stride`: bytes from packet to packet.
    `timed`: the two words behind the SSRC when abs-send-time is sent, its time being zero; else None.
    `payload_size`: bytes of payload in all.
    """

    template: bytes
    places: tuple[tuple[int, int], ...]
    stride: int
    timed: tuple[int, int] | None
    payload_size: int

    def single(self, index: int) -> Chunk:
        """Return one of the packets alone."""
        offset, length = self.places[index]
        return Chunk(
            self.template[offset : offset + self.stride], ((0, length),), self.stride, self.timed, length
        )

    def part(self, first: int, count: int) -> Chunk:
        """Return up to `count` of the packets, from number `first` on."""
        places = self.places[first : first + count]
        if len(places) == len(self.places):
            return self
        began = places[0][0]
        template = self.template[began : began + self.stride * len(places)]
        moved = tuple((offset - began, length) for offset, length in places)
        share = self.payload_size * len(places) // len(self.places)
        return Chunk(template, moved, self.stride, self.timed, share)


def lay_out(payloads: list[bytes], layout: Layout, *, marked: bool) -> list[Chunk]:
    """Lay out the packets of one frame.

    Args:
        payloads: in order.
        layout: what their header looks like.
        marked: whether the last packet says that the frame ends (video).
    """
    plain = layout.header(marker=False)
    last = layout.header(marker=marked)
    timed: tuple[int, int] | None = None
    if layout.abs_send_time_id is not None:
        timed = struct.unpack_from("!II", plain, 12)
    room = bytes(layout.trailer)
    chunks: list[Chunk] = []
    run: list[bytes] = []

    def finish() -> None:
        places, offset = [], 0
        for packet in run:
            places.append((offset, len(packet) - layout.trailer))
            offset += len(packet)
        size = sum(length - len(plain) for _, length in places)
        chunks.append(Chunk(b"".join(run), tuple(places), len(run[0]), timed, size))
        run.clear()

    for index, payload in enumerate(payloads):
        packet = (last if index == len(payloads) - 1 else plain) + payload + room
        if run and (len(run) == MAX_SEGMENTS or len(packet) > len(run[0]) or len(run[-1]) < len(run[0])):
            finish()
        run.append(packet)
    if run:
        finish()
    return chunks


def retransmission(chunk: Chunk, index: int, sequence: int, payload_type: int) -> Chunk:
    """Return one packet as a stream of retransmissions has it: its number before its payload (RFC 4588 §4).

    Args:
        chunk: that it was in.
        index: which one it is.
        sequence: the number it had.
        payload_type: of the retransmissions.
    """
    offset, length = chunk.places[index]
    packet = chunk.template[offset : offset + chunk.stride]
    header = 12
    if packet[0] & _EXTENDED:
        header += 4 + 4 * int.from_bytes(packet[14:16], "big")
    start = bytes((packet[0], packet[1] & _MARKER | payload_type))
    again = start + packet[2:header] + struct.pack("!H", sequence & 0xFFFF) + packet[header:]
    return Chunk(again, ((0, length + 2),), len(again), chunk.timed, length + 2 - header)


def number(
    buffer: memoryview, chunk: Chunk, sequence: int, timestamp: int, ssrc: int, send_time: int
) -> None:
    """Copy the chunk to the start of the buffer, with one viewer's numbers.

    Args:
        buffer: is overwritten.
        chunk: what to copy.
        sequence: number of the first packet; it may be larger than 16 bits.
        timestamp: RTP timestamp, 32 bits.
        ssrc: whose packets these are.
        send_time: abs-send-time, 24 bits; ignored where it is not sent.
    """
    buffer[: len(chunk.template)] = chunk.template
    if chunk.timed is None:
        for offset, _ in chunk.places:
            _PLAIN.pack_into(buffer, offset + 2, sequence & 0xFFFF, timestamp, ssrc)
            sequence += 1
    else:
        head, element = chunk.timed
        element |= send_time
        for offset, _ in chunk.places:
            _TIMED.pack_into(buffer, offset + 2, sequence & 0xFFFF, timestamp, ssrc, head, element)
            sequence += 1


def send_time(now: float) -> int:
    """Return abs-send-time for a moment of `time.time`."""
    return int(now % 64 * (1 << 18)) & 0xFFFFFF
