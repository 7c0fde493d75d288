"""RTP of a viewer's microphone, decrypted, up to the jitter buffer: junk is dropped, and memory has a bound.

An input is a number of packets, each behind two bytes that say its length.
"""

from __future__ import annotations

import struct

from aiortc.mediastreams import AudioStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtcrtpreceiver import RTCRtpReceiver
from aiortc.rtp import RtpPacket

from tests.fuzzing.target import OnLoop
from tests.fuzzing.targets.peer_description import ViewerPeer

MAX_LENGTH = 2048
INSTRUMENTED = (
    "aiortc.rtp",
    "aiortc.rtcdtlstransport",
    "aiortc.rtcrtpreceiver",
    "aiortc.jitterbuffer",
)

OPUS = RTCRtpCodecParameters("audio/opus", 48_000, 2, 111)


class SoundTarget(OnLoop):
    """A viewer who is heard; the decoder, which runs on a thread of its own, is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.run(self._open())

    async def _open(self) -> None:
        self._viewer = ViewerPeer()
        self._dtls = self._viewer.peer._dtls
        receiver = RTCRtpReceiver("audio", self._dtls)
        receiver._track = AudioStreamTrack()  # type: ignore[assignment]
        object.__setattr__(receiver, "_RTCRtpReceiver__codecs", {111: OPUS})
        self._dtls._rtp_router.register_receiver(receiver, ssrcs=[77], payload_types=[111])
        ids = [RTCRtpHeaderExtensionParameters(id=1, uri="urn:ietf:params:rtp-hdrext:sdes:mid")]
        self._dtls._rtp_header_extensions_map.configure(RTCRtpParameters(headerExtensions=ids))

    def feed(self, data: bytes) -> None:
        self.run(self._feed(data))

    async def _feed(self, data: bytes) -> None:
        arrived = 0
        while len(data) >= 2:
            (length,) = struct.unpack_from("!H", data)
            await self._dtls._handle_rtp_data(data[2 : 2 + length], arrived)
            data = data[2 + length :]
            arrived += 20

    def close(self) -> None:
        self.loop.run_until_complete(self._viewer.close())
        super().close()


def open_target() -> SoundTarget:
    return SoundTarget()


def seeds() -> dict[str, bytes]:
    packets = []
    for number in (0, 1, 2, 5, 3, 65_535):
        packet = RtpPacket(
            payload_type=111, sequence_number=number, timestamp=960 * number, ssrc=77, payload=b"\xf8\xff\xfe"
        )
        packets.append(packet.serialize())
    extended = b"\x90" + packets[0][1:12] + b"\xbe\xde\x00\x01\x10" + b"0\0\0" + packets[0][12:]
    padded = b"\xa0" + packets[0][1:] + b"\0\0\0\4"
    return {
        "one": joined(packets[0]),
        "out-of-order": joined(*packets),
        "header-extension": joined(extended),
        "padding": joined(padded),
        "two-byte-extension": joined(
            b"\x90" + packets[0][1:12] + b"\x10\x00\x00\x01\x01\x01" + b"0\0" + packets[0][12:]
        ),
    }


def joined(*packets: bytes) -> bytes:
    """Make an input of packets."""
    return b"".join(struct.pack("!H", len(packet)) + packet for packet in packets)
