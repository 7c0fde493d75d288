"""Packets of SCTP from a viewer, decrypted: none costs much time, and what cannot be ends that viewer
alone.

An input is a number of packets, each behind two bytes that say its length. They lack their header: tag
and checksum are right.
"""

from __future__ import annotations

import struct
import time
from typing import cast

from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcsctptransport import (
    DATA_CHANNEL_OPEN,
    WEBRTC_BINARY,
    WEBRTC_DCEP,
    AbortChunk,
    Chunk,
    CookieEchoChunk,
    DataChunk,
    ErrorChunk,
    ForwardTsnChunk,
    HeartbeatChunk,
    InitChunk,
    ReconfigChunk,
    RTCSctpTransport,
    SackChunk,
    ShutdownChunk,
    StreamResetOutgoingParam,
)
from google_crc32c import value as crc32c

from streamserver.webrtc import aiortc_seam as seam
from tests.fuzzing.target import OnLoop

MAX_LENGTH = 4096
INSTRUMENTED = (
    "streamserver.webrtc.sctp_packet",
    "streamserver.webrtc.aiortc_seam",
    "aiortc.rtcsctptransport",
)

MOST_SECONDS = 1.0
"""Of computing, for one input; an honest packet takes 0.1 ms."""


class Dtls:
    """What is below: counts what is sent."""

    state = "connected"
    _role = "server"

    def __init__(self) -> None:
        self.sent = 0

    async def _send_data(self, data: bytes) -> None:
        self.sent += len(data)


class SctpTarget(OnLoop):
    """An association that is established, new for each input."""

    def feed(self, data: bytes) -> None:
        self.run(self._feed(data))

    async def _feed(self, data: bytes) -> None:
        below = Dtls()
        sctp = RTCSctpTransport(cast("RTCDtlsTransport", below))
        seam.guard_data(sctp)
        sctp._local_verification_tag, sctp._local_tsn, sctp._last_received_tsn = 1, 1000, 0
        sctp._remote_port, sctp._data_channel_id = 5000, 1
        sctp._last_sacked_tsn = sctp._advanced_peer_ack_tsn = 999
        sctp._ssthresh = 1 << 20
        sctp._set_state(sctp.State.ESTABLISHED)
        began, size = time.process_time(), len(data)
        try:
            while len(data) >= 2:
                (length,) = struct.unpack_from("!H", data)
                await sctp._handle_data(with_header(data[2 : 2 + length]))
                data = data[2 + length :]
        except ConnectionError:
            pass  # this viewer's connection ends
        assert time.process_time() - began < MOST_SECONDS
        assert below.sent <= 2000 + 64 * size
        sctp._set_state(sctp.State.CLOSED)


def with_header(chunks: bytes) -> bytes:
    """Return a packet of the chunks, with the right tag and checksum."""
    header = struct.pack("!HHL", 5000, 5000, 0 if chunks[:1] == b"\1" else 1)
    return header + struct.pack("<L", crc32c(header + bytes(4) + chunks)) + chunks


def joined(*packets: bytes) -> bytes:
    """Make an input of packets."""
    return b"".join(struct.pack("!H", len(packet)) + packet for packet in packets)


def data_chunk(tsn: int, protocol: int, content: bytes, *, flags: int = 3, stream: int = 2) -> bytes:
    """Return a chunk with a message, or a part of one."""
    chunk = DataChunk(flags)
    chunk.tsn, chunk.stream_id, chunk.protocol, chunk.user_data = tsn, stream, protocol, content
    return bytes(chunk)


def open_target() -> SctpTarget:
    return SctpTarget()


def seeds() -> dict[str, bytes]:
    init = InitChunk()
    init.initiate_tag, init.advertised_rwnd, init.outbound_streams, init.inbound_streams, init.initial_tsn = (
        1,
        1 << 20,
        10,
        10,
        1,
    )
    init.params = [(0xC000, b""), (0x8008, b"\xc0\x82")]
    sack = SackChunk()
    sack.cumulative_tsn, sack.advertised_rwnd, sack.gaps, sack.duplicates = 999, 1 << 20, [(2, 3)], [7]
    forward = ForwardTsnChunk()
    forward.cumulative_tsn, forward.streams = 5, [(2, 0)]
    reset = ReconfigChunk()
    reset.params = [(13, bytes(StreamResetOutgoingParam(1, 2, 3, [2])))]
    with_params: list[Chunk] = []
    for kind, name in ((HeartbeatChunk, b"beat"), (AbortChunk, b"cause"), (ErrorChunk, b"what")):
        chunk = kind()
        chunk.params = [(1, name)]
        with_params.append(chunk)
    opening = struct.pack("!BBHLHH", DATA_CHANNEL_OPEN, 0, 0, 0, 4, 0) + b"data"
    opened = data_chunk(1, WEBRTC_DCEP, opening)
    packets = {
        "init": bytes(init),
        "sack": bytes(sack),
        "forward-tsn": bytes(forward),
        "stream-reset": bytes(reset),
        "heartbeat": bytes(with_params[0]),
        "abort": bytes(with_params[1]),
        "error": bytes(with_params[2]),
        "cookie-echo": bytes(CookieEchoChunk(0, b"cookie")),
        "shutdown": bytes(ShutdownChunk()),
        "open-channel": opened,
    }
    message = data_chunk(2, WEBRTC_BINARY, b"\x01\x00\x04\x00\x01\x00\x02")
    parts = [
        data_chunk(3, 53, b"ab", flags=2),
        data_chunk(5, 53, b"ef", flags=1),
        data_chunk(4, 53, b"cd", flags=0),
    ]
    return {
        **{name: joined(packet) for name, packet in packets.items()},
        "channel-and-messages": joined(opened, message, *parts),
        "several-chunks": joined(opened + message, bytes(sack) + bytes(forward)),
    }
