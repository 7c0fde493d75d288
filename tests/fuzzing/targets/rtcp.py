"""RTCP of a viewer, decrypted: what it reports is taken, what it asks for again is sent, junk is dropped.

An input is a number of compound packets, each behind two bytes that say its length. It goes through
aiortc's parser and router, as what comes from the network does.
"""

from __future__ import annotations

import struct
import time
from types import SimpleNamespace
from typing import cast

import pylibsrtp
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    pack_remb_fci,
)

from streamserver.capture.frames import EncodedFrame
from streamserver.webrtc.aiortc_seam import Negotiated, OutgoingSrtp
from streamserver.webrtc.chunks import ABS_SEND_TIME_URI, MID_URI
from streamserver.webrtc.frame_sender import RESEND_BURST
from streamserver.webrtc.receiver_reports import missing
from tests.fuzzing.target import OnLoop
from tests.fuzzing.targets.peer_description import ViewerPeer
from tests.fuzzing.targets.stun import RecordingPath

MAX_LENGTH = 2048
INSTRUMENTED = (
    "aiortc.rtp",
    "aiortc.rtcdtlstransport",
    "streamserver.webrtc.receiver_reports",
    "streamserver.webrtc.frame_sender",
    "streamserver.webrtc.history",
)

SSRC = 0xCA7CA7
FIRST_SEQUENCE = 65_500
"""The numbers wrap within what is remembered."""

PROFILE = b"SRTP_AEAD_AES_256_GCM"


class RtcpTarget(OnLoop):
    """One viewer that was sent some pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.run(self._open())

    async def _open(self) -> None:
        self._viewer = viewer = ViewerPeer()
        self._path = RecordingPath(viewer.connection)
        viewer.connection._selected = self._path
        self._dtls = viewer.peer._dtls
        media = pylibsrtp.Policy(bytes(44), pylibsrtp.Policy.SSRC_ANY_OUTBOUND,
                                 srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM)  # fmt: skip
        media.allow_repeat_tx, media.window_size = True, 1024
        ssl = SimpleNamespace(get_selected_srtp_profile=lambda: PROFILE)
        srtp = OutgoingSrtp(
            cast("RTCDtlsTransport", SimpleNamespace(_ssl=ssl, _tx_srtp=pylibsrtp.Session(media)))
        )
        for number, (transceiver, sender) in enumerate(
            zip(viewer.peer._pc.getTransceivers(), (viewer.peer.audio, viewer.peer.video), strict=True)
        ):
            ssrc = SSRC + number
            self._dtls._rtp_router.register_sender(transceiver.sender, ssrc=ssrc)
            ids = {MID_URI: 1, ABS_SEND_TIME_URI: 3}
            rtx = (SSRC + 9, 103) if sender.kind == "video" else None
            sender._sequence = FIRST_SEQUENCE
            sender.start(Negotiated(ssrc, 102, str(number), "catnap", ids, rtx), srtp)
            sender.flow.set_ready()
        for number in range(40):
            viewer.audio.deliver(EncodedFrame(b"\xf8\xff\xfe", True, number * 960, time.monotonic()))
            unit = b"\0\0\0\1" + bytes((0x41 if number else 0x65, number)) + b"\x80" * 1500
            viewer.video.deliver(EncodedFrame(unit, number == 0, number * 3000, time.monotonic()))

    def feed(self, data: bytes) -> None:
        self.run(self._feed(data))

    async def _feed(self, data: bytes) -> None:
        self._path.sent.clear()
        video = self._viewer.peer.video
        resent = video.resent
        while len(data) >= 2:
            (length,) = struct.unpack_from("!H", data)
            await self._dtls._handle_rtcp_data(data[2 : 2 + length])
            data = data[2 + length :]
        assert video.resent - resent <= RESEND_BURST + 100
        assert all(len(packet) <= 1280 for packet in self._path.sent)
        assert 0 <= video.reports.fraction_lost < 1
        assert video.reports.bitrate >= 0
        assert video.reports.round_trip is None or 0 <= video.reports.round_trip < 30

    def close(self) -> None:
        self.loop.run_until_complete(self._viewer.close())
        super().close()


def joined(*packets: object) -> bytes:
    """Make an input of packets, each a compound of its own."""
    raw = [bytes(packet) for packet in packets]  # type: ignore[call-overload]
    return b"".join(struct.pack("!H", len(one)) + one for one in raw)


def open_target() -> RtcpTarget:
    return RtcpTarget()


def seeds() -> dict[str, bytes]:
    info = RtcpReceiverInfo(SSRC + 1, 12, 34, 65_510, 56, 0, 0)
    sender = RtcpSenderInfo(ntp_timestamp=1 << 40, rtp_timestamp=5, packet_count=6, octet_count=7)
    fir = struct.pack("!LBBH", SSRC + 1, 1, 0, 0)
    packets = {
        "receiver-report": RtcpRrPacket(1, [info]),
        "sender-report": RtcpSrPacket(1, sender, [info]),
        "nack": RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, SSRC + 1, [65_501, 65_503, 65_530]),
        "pli": RtcpPsfbPacket(RTCP_PSFB_PLI, 1, SSRC + 1),
        "fir": RtcpPsfbPacket(RTCP_PSFB_FIR, 1, 0, fir),
        "remb": RtcpPsfbPacket(RTCP_PSFB_APP, 1, 0, pack_remb_fci(2_500_000, [SSRC + 1])),
        "remb-for-one-sender": RtcpPsfbPacket(RTCP_PSFB_APP, 1, SSRC + 1, pack_remb_fci(1, [SSRC + 1])),
        "bye": RtcpByePacket([1]),
        "sdes": RtcpSdesPacket([RtcpSourceInfo(1, [(1, b"me")])]),
    }  # fmt: skip
    wrap = RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, SSRC + 1, [65_535, 65_536, 65_537])
    assert missing(wrap)
    return {
        **{name: joined(packet) for name, packet in packets.items()},
        "nack-over-the-wrap": joined(wrap),
        "everything": joined(*packets.values()),
    }
