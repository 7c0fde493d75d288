"""What aiortc gets to see of a viewer's SCTP, and what becomes of a viewer that sends more than it may."""

from __future__ import annotations

import random
import struct
import time
from typing import cast

import pytest
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpTransport
from google_crc32c import value as crc32c
from hypothesis import given
from hypothesis import strategies as st

from streamserver.webrtc import aiortc_seam as seam
from streamserver.webrtc.sctp_packet import MAX_CHUNKS, BadPacketError, count_chunks

HEADER = struct.pack("!HHLL", 5000, 5000, 1, 0)


def chunk(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack("!BBH", kind, flags, 4 + len(body)) + body + bytes(-len(body) % 4)


def parameters(*contents: bytes) -> bytes:
    return b"".join(struct.pack("!HH", 13, 4 + len(one)) + one + bytes(-len(one) % 4) for one in contents)


def acknowledgement(*gaps: tuple[int, int], duplicates: int = 0) -> bytes:
    blocks = b"".join(struct.pack("!HH", *gap) for gap in gaps)
    return struct.pack("!LLHH", 7, 1 << 20, len(gaps), duplicates) + blocks + bytes(4 * duplicates)


def part(tsn: int, *, flags: int, stream: int = 2) -> bytes:
    return chunk(0, struct.pack("!LHHL", tsn, stream, 0, 53) + b"x", flags)


GOOD = {
    "data": part(1, flags=3),
    "sack": chunk(3, acknowledgement((2, 3), (5, 5), duplicates=1)),
    "init": chunk(1, bytes(16) + parameters(b"", b"\xc0\x82")),
    "heartbeat": chunk(4, parameters(b"beat")),
    "abort without a cause": chunk(6, b""),
    "stream reset": chunk(130, parameters(bytes(14), bytes(8))),
    "forward": chunk(192, bytes(8)),
    "cookie": chunk(10, b"any"),
    "unknown": chunk(77, b"any"),
}
BAD = {
    "a parameter of impossible length": [
        chunk(6, struct.pack("!HHL", 1, 0, 0)),
        chunk(130, struct.pack("!HHL", 13, 3, 0)),
        chunk(4, struct.pack("!HHL", 1, 9, 0)),
        chunk(1, bytes(16) + bytes(4)),
    ],
    "an acknowledgement of too much": [chunk(3, acknowledgement(*[(1, 65535)] * 280))],
    "an acknowledgement of less than nothing": [chunk(3, acknowledgement((2, 1)))],
    "an acknowledgement of impossible length": [chunk(3, acknowledgement((1, 2))[:-4])],
    "an acknowledgement that is too short": [chunk(3, bytes(4))],
    "data without content": [chunk(0, bytes(12))],
    "a forward TSN of impossible length": [chunk(192, bytes(6))],
    "a chunk that is too short": [chunk(2, bytes(8))],
    "a chunk of impossible length": [b"\0\0\0\3", b"\0\0\0\x20"],
    "too many chunks": [chunk(11, b"") * (MAX_CHUNKS + 1)],
    "no chunk": [b"", b"\0\0\0"],
}


def test_what_browsers_send_is_let_through() -> None:
    for chunks in GOOD.values():
        assert count_chunks(HEADER + chunks) == 1
    assert count_chunks(HEADER + b"".join(GOOD.values())) == len(GOOD)


@pytest.mark.parametrize("reason", BAD)
def test_what_would_hold_us_up_is_not(reason: str) -> None:
    for chunks in BAD[reason]:
        for before in (b"", GOOD["data"]):
            if before and reason == "no chunk":
                continue
            with pytest.raises(BadPacketError, match=reason):
                count_chunks(HEADER + before + chunks)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_not(data: bytes) -> None:
    try:
        assert 1 <= count_chunks(data) <= MAX_CHUNKS
    except BadPacketError as error:
        message = str(error)
        assert message


class Below:
    """The DTLS transport."""

    state = "connected"
    _role = "server"

    async def _send_data(self, data: bytes) -> None:
        """It goes nowhere."""


def association() -> RTCSctpTransport:
    sctp = RTCSctpTransport(cast("RTCDtlsTransport", Below()))
    sctp._local_verification_tag, sctp._last_received_tsn, sctp._remote_port = 1, 0, 5000
    sctp._set_state(sctp.State.ESTABLISHED)
    seam.guard_data(sctp)
    return sctp


def packet(chunks: bytes) -> bytes:
    return HEADER[:8] + struct.pack("<L", crc32c(HEADER + chunks)) + chunks


@pytest.mark.parametrize("reason", ["a parameter of impossible length", "an acknowledgement of too much"])
async def test_the_loop_goes_on_at_once_whatever_a_viewer_sends(reason: str) -> None:
    sctp = association()
    began = time.process_time()
    for chunks in BAD[reason]:
        await sctp._handle_data(packet(chunks))
    assert time.process_time() - began < 1
    await sctp._handle_data(packet(GOOD["data"]))
    assert sctp._last_received_tsn == 1, "the viewer is still heard"
    sctp._set_state(sctp.State.CLOSED)


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([part(number, flags=4) for number in range(1, 9000)], "too many parts of messages"),
        ([part(number, flags=3, stream=number) for number in range(1, 900)], "too many data channels"),
        ([part(number * 2, flags=3) for number in range(1, 9000)], "too many gaps"),
    ],
)
async def test_what_a_viewer_makes_us_remember_has_a_bound(chunks: list[bytes], reason: str) -> None:
    sctp = association()
    began = time.process_time()
    for first in range(0, len(chunks), 30):
        await sctp._handle_data(packet(b"".join(chunks[first : first + 30])))
    found = seam._data_abuse(sctp)
    assert found is not None
    assert reason in found
    assert time.process_time() - began < 5
    waiting = sum(len(stream.reassembly) for stream in sctp._inbound_streams.values())
    assert waiting <= seam.MAX_FRAGMENTS + MAX_CHUNKS
    assert len(sctp._inbound_streams) <= seam.MAX_STREAMS + MAX_CHUNKS
    assert len(sctp._sack_misordered) <= seam.MAX_MISORDERED + MAX_CHUNKS
    sctp._set_state(sctp.State.CLOSED)


async def test_chunks_have_a_budget() -> None:
    sctp = association()
    _, burst = seam.CHUNK_BUDGET
    total, tsn = 4 * burst, 0
    began = time.monotonic()
    for _ in range(total // 40):
        await sctp._handle_data(packet(b"".join(part(tsn + number + 1, flags=3) for number in range(40))))
        tsn = sctp._last_received_tsn or 0
    rate, _ = seam.CHUNK_BUDGET
    assert burst - 40 <= tsn <= burst + rate * (time.monotonic() - began) + 40
    sctp._set_state(sctp.State.CLOSED)


async def test_what_cannot_be_understood_ends_that_connection_alone() -> None:
    sctp = association()
    with pytest.raises(ConnectionError, match="cannot be understood"):
        await sctp._handle_data(packet(chunk(130, parameters(bytes(random.Random(1).randrange(1, 4))))))
    sctp._set_state(sctp.State.CLOSED)
