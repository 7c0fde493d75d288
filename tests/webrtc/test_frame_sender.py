"""The sender of one viewer, with real SRTP on both sides and a connection that writes down what is sent."""

from __future__ import annotations

import asyncio
import itertools
import math
import struct
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import pylibsrtp
import pytest
from aiortc.clock import current_ntp_time
from aiortc.codecs.h264 import H264PayloadDescriptor
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSrPacket,
    RtpPacket,
    unwrap_rtx,
)

from streamserver.capture.frames import EncodedFrame
from streamserver.capture.stream import MediaKind
from streamserver.webrtc.aiortc_seam import Negotiated, OutgoingSrtp
from streamserver.webrtc.chunks import ABS_SEND_TIME_URI, MAX_SEGMENTS, MID_URI
from streamserver.webrtc.fan_out import FanOut
from streamserver.webrtc.frame_sender import KEYFRAME_BURST, QUEUE_LIMIT, RESEND_BURST, FrameSender
from streamserver.webrtc.payloads import MAX_PAYLOAD, nal_units
from tests.waiting import until
from tests.webrtc.room import HandStream

SSRC = 0xCA7CA7
PROFILES = {
    b"SRTP_AEAD_AES_256_GCM": (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
    b"SRTP_AES128_CM_SHA1_80": (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
}
GCM = b"SRTP_AEAD_AES_256_GCM"


class Wire:
    """A connection; what it was given, as datagrams."""

    def __init__(self) -> None:
        self.writable = True
        self.takes = True
        self.sends: list[list[bytes]] = []

    @property
    def datagrams(self) -> list[bytes]:
        return [datagram for send in self.sends for datagram in send]

    def send_segments(self, data: memoryview, stride: int) -> bool:
        if self.takes:
            self.sends.append([bytes(data[at : at + stride]) for at in range(0, len(data), stride)])
        return self.takes

    def send_now(self, data: bytes) -> bool:
        if self.takes:
            self.sends.append([data])
        return self.takes


class Viewer:
    """A sender, its stream, and the viewer's end of SRTP."""

    def __init__(
        self,
        fan_out: FanOut,
        kind: MediaKind = "video",
        profile: bytes = GCM,
        rtx: tuple[int, int] | None = None,
    ) -> None:
        self.stream = HandStream(kind=kind)
        self.wire = Wire()
        self.sender = FrameSender(kind, self.stream, self.wire, fan_out)
        policy, key_size = PROFILES[profile]
        key = bytes(range(key_size))
        outgoing = pylibsrtp.Policy(key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=policy)
        outgoing.allow_repeat_tx = True
        outgoing.window_size = 1024
        incoming = pylibsrtp.Policy(key, pylibsrtp.Policy.SSRC_ANY_INBOUND, srtp_profile=policy)
        self.receiver = pylibsrtp.Session(incoming)
        ssl = SimpleNamespace(get_selected_srtp_profile=lambda: profile)
        dtls = SimpleNamespace(_ssl=ssl, _tx_srtp=pylibsrtp.Session(outgoing))
        uris = {MID_URI: 1, ABS_SEND_TIME_URI: 3}
        negotiated = Negotiated(SSRC, 102, "1", "catnap", uris, rtx)
        self.sender.start(negotiated, OutgoingSrtp(cast("RTCDtlsTransport", dtls)))
        self.sender.flow.set_ready()

    def rtp(self) -> list[RtpPacket]:
        """Decrypt what came since the last call."""
        found = [
            RtpPacket.parse(self.receiver.unprotect(datagram))
            for datagram in self.wire.datagrams
            if not 192 <= datagram[1] <= 223
        ]
        self.wire.sends.clear()
        return found

    def rtcp(self) -> list[object]:
        return [
            packet
            for datagram in self.wire.datagrams
            if 192 <= datagram[1] <= 223
            for packet in RtcpPacket.parse(self.receiver.unprotect_rtcp(datagram))
        ]


@pytest.fixture
async def fan_out() -> AsyncIterator[FanOut]:
    shared = FanOut(turn=math.inf)  # everything leaves in the call that brings it
    yield shared
    shared.close()


def frame(number: int, *, keyframe: bool = False, size: int = 10) -> EncodedFrame:
    unit = bytes((0x65 if keyframe else 0x41, number)) + b"\x80" * size
    return EncodedFrame(b"\0\0\0\1" + unit, keyframe, number * 3000, time.monotonic())


def numbers(packets: list[RtpPacket]) -> list[int]:
    """The frames whose first packet is among them."""
    whole = [nal_units(H264PayloadDescriptor.parse(packet.payload)[1] or b"") for packet in packets]
    return [units[0][1] for units in whole if units]


@pytest.mark.parametrize("profile", PROFILES)
async def test_what_is_sent_can_be_decrypted_and_put_together(fan_out: FanOut, profile: bytes) -> None:
    viewer = Viewer(fan_out, profile=profile)
    frames = [frame(1, keyframe=True, size=5000), frame(2), frame(3, size=2500)]
    packets: list[RtpPacket] = []
    for sent in frames:
        viewer.stream.deliver(sent)
        packets += viewer.rtp()
    data = b"".join(H264PayloadDescriptor.parse(packet.payload)[1] for packet in packets)
    assert nal_units(data) == [sent.data[4:] for sent in frames]
    first = packets[0].sequence_number
    assert [packet.sequence_number for packet in packets] == list(range(first, first + len(packets)))
    assert {packet.ssrc for packet in packets} == {SSRC}
    times = {packet.timestamp for packet in packets}
    offset = (packets[0].timestamp - 3000) % 2**32
    assert times == {(sent.rtp_time + offset) % 2**32 for sent in frames}
    assert sum(packet.marker for packet in packets) == 3


async def test_viewers_share_the_packets_and_nothing_else(fan_out: FanOut) -> None:
    first, second = Viewer(fan_out), Viewer(fan_out)
    shared = frame(1, keyframe=True)
    first.stream.deliver(shared)
    second.stream.deliver(shared)
    (one,), (two,) = first.rtp(), second.rtp()
    assert one.payload == two.payload
    assert (one.sequence_number, one.timestamp) != (two.sequence_number, two.timestamp)


async def test_a_large_frame_leaves_in_bursts(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out)
    viewer.stream.deliver(frame(1, keyframe=True, size=40 * MAX_PAYLOAD))
    assert [len(send) for send in viewer.wire.sends] == [MAX_SEGMENTS]
    viewer.stream.deliver(frame(2))
    assert len(viewer.wire.sends) == 1, "the next frame waits for its turn"
    sender = viewer.sender
    await until(lambda: not sender._queue, within=5, what="all is sent")
    assert max(len(send) for send in viewer.wire.sends) == MAX_SEGMENTS
    packets = viewer.rtp()
    assert len(packets) == 42
    first = packets[0].sequence_number
    assert [(p.sequence_number - first) % 65536 for p in packets] == list(range(42))


async def test_a_paced_viewer_gets_a_large_frame_little_by_little(fan_out: FanOut) -> None:
    slow, quick = Viewer(fan_out), Viewer(fan_out)
    slow.sender.pacer.rate = 3_000_000
    for viewer in (slow, quick):
        viewer.stream.deliver(frame(1, keyframe=True, size=60 * MAX_PAYLOAD))
    assert max(len(send) for send in slow.wire.sends) <= 3, "the network's queue is short"
    await until(lambda: len(quick.wire.datagrams) > 60, within=2, what="the other has it all")
    assert len(slow.wire.datagrams) < 50
    for viewer in (slow, quick):
        viewer.stream.deliver(frame(2))
    await until(lambda: len(slow.wire.datagrams) > 20, within=2, what="some of it")
    slow.sender.pacer.rate = None  # in the middle of a chunk: it goes on where it was
    await until(lambda: len(slow.wire.datagrams) == len(quick.wire.datagrams), within=2, what="all of it")
    sent = [viewer.rtp() for viewer in (slow, quick)]
    assert [packet.payload for packet in sent[0]] == [packet.payload for packet in sent[1]]
    first = sent[0][0].sequence_number
    assert [packet.sequence_number - first for packet in sent[0]] == list(range(len(sent[0])))


async def test_what_was_paced_can_be_asked_for_again(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out)
    viewer.sender.pacer.rate = 1_000_000
    viewer.stream.deliver(frame(1, keyframe=True, size=20 * MAX_PAYLOAD))
    await until(lambda: len(viewer.wire.datagrams) >= 20, within=2, what="it has left")
    before = list(viewer.wire.datagrams)
    viewer.wire.sends.clear()
    numbers = [int.from_bytes(datagram[2:4], "big") for datagram in before if datagram[1] < 192]
    lost = [numbers[3], numbers[11]]
    viewer.sender.rtcp_received(RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, SSRC, lost))
    assert viewer.wire.datagrams == [
        datagram for datagram in before if int.from_bytes(datagram[2:4], "big") in lost and datagram[1] < 192
    ]


async def test_lost_packets_are_sent_again_as_they_were(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out)
    for number in range(30):
        viewer.stream.deliver(frame(number, keyframe=number == 0, size=3 * MAX_PAYLOAD))
    sent = viewer.wire.datagrams
    viewer.wire.sends.clear()
    wanted = [sent[0], sent[17], sent[-1]]
    lost = [struct.unpack_from("!H", datagram, 2)[0] for datagram in wanted]
    nack = RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, SSRC, [*lost, (lost[0] - 1) & 0xFFFF])
    viewer.sender.rtcp_received(nack)
    assert viewer.wire.datagrams == wanted
    assert (viewer.sender.reports.nacks, viewer.sender.resent) == (4, 3)
    viewer.stream.deliver(frame(99))
    assert numbers(viewer.rtp()[-1:]) == [99], "the stream goes on behind it"


async def test_where_the_viewer_knows_rtx_lost_packets_come_in_a_stream_of_their_own(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out, rtx=(SSRC + 1, 103))
    for number in range(30):
        viewer.stream.deliver(frame(number, keyframe=number == 0, size=3 * MAX_PAYLOAD))
    sent = viewer.rtp()
    wanted = [sent[0], sent[17], sent[-1]]
    numbers_lost = [packet.sequence_number for packet in wanted]
    viewer.sender.rtcp_received(RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, SSRC, numbers_lost))
    viewer.sender.rtcp_received(RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, SSRC, numbers_lost[:1]))
    again = viewer.rtp()
    assert {(packet.ssrc, packet.payload_type) for packet in again} == {(SSRC + 1, 103)}
    first = again[0].sequence_number
    assert [packet.sequence_number - first for packet in again] == [0, 1, 2, 3]
    restored = [unwrap_rtx(packet, 102, SSRC) for packet in again]

    def content(packet: RtpPacket) -> tuple[int, int, bool, bytes]:
        return packet.sequence_number, packet.timestamp, bool(packet.marker), packet.payload

    assert [content(packet) for packet in restored] == [content(packet) for packet in [*wanted, wanted[0]]]
    assert viewer.sender.resent == 4
    viewer.stream.deliver(frame(99))
    (packet,) = viewer.rtp()
    assert packet.sequence_number == (sent[-1].sequence_number + 1) % 65536, "the stream has no gap"


async def test_asking_for_everything_again_has_an_end(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out)
    viewer.stream.deliver(frame(0, keyframe=True))
    (number,) = (packet.sequence_number for packet in viewer.rtp())
    viewer.sender.rtcp_received(RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, SSRC, [number] * 50_000))
    assert RESEND_BURST <= viewer.sender.resent < 2 * RESEND_BURST + 500


@pytest.mark.parametrize("fmt", [RTCP_PSFB_PLI, RTCP_PSFB_FIR])
async def test_a_wish_for_a_key_frame_reaches_the_stream(fan_out: FanOut, fmt: int) -> None:
    viewer = Viewer(fan_out)
    viewer.sender.rtcp_received(RtcpPsfbPacket(fmt, 1, SSRC))
    assert viewer.stream.keyframe_requests == viewer.sender.reports.keyframe_requests == 1


async def test_a_viewer_that_always_wants_key_frames_gets_few(fan_out: FanOut) -> None:
    greedy, modest = Viewer(fan_out), Viewer(fan_out)
    for _ in range(1000):
        greedy.sender.rtcp_received(RtcpPsfbPacket(RTCP_PSFB_PLI, 1, SSRC))
    modest.sender.rtcp_received(RtcpPsfbPacket(RTCP_PSFB_PLI, 1, SSRC))
    assert greedy.stream.keyframe_requests <= KEYFRAME_BURST + 1
    assert greedy.sender.reports.keyframe_requests == 1000
    assert modest.stream.keyframe_requests == 1


@pytest.mark.parametrize("obstacle", ["writable", "takes"])
async def test_a_slow_viewer_skips_to_the_next_key_frame_and_delays_nobody(
    fan_out: FanOut, obstacle: str
) -> None:
    slow, quick = Viewer(fan_out), Viewer(fan_out)
    for number in range(QUEUE_LIMIT["video"] + 5):
        if number == 2:
            setattr(slow.wire, obstacle, False)
        for viewer in (slow, quick):
            viewer.stream.deliver(frame(number, keyframe=number == 0))
        assert numbers(quick.rtp()) == [number]
    assert slow.stream.keyframe_requests == 1
    assert (slow.sender.dropped, slow.sender.flow.dropped) == (QUEUE_LIMIT["video"] + 1, 2)
    setattr(slow.wire, obstacle, True)
    slow.stream.deliver(frame(98))
    slow.stream.deliver(frame(99, keyframe=True))
    packets = slow.rtp()
    assert numbers(packets) == [0, 1, 99]
    first = packets[0].sequence_number
    assert [packet.sequence_number for packet in packets] == [first, first + 1, first + 2]


async def test_what_waited_is_sent_when_there_is_room_again(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out)
    viewer.stream.deliver(frame(0, keyframe=True))
    viewer.wire.takes = False
    viewer.stream.deliver(frame(1))
    viewer.stream.deliver(frame(2))
    await asyncio.sleep(0.01)
    viewer.wire.takes = True
    await until(lambda: len(viewer.wire.datagrams) >= 3, within=5, what="both frames leave")
    assert numbers(viewer.rtp()) == [0, 1, 2]
    assert viewer.stream.keyframe_requests == 0


async def test_late_sound_loses_its_oldest(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out, "audio")
    viewer.wire.takes = False
    for number in range(QUEUE_LIMIT["audio"] + 3):
        viewer.stream.deliver(EncodedFrame(bytes((number,)), True, number * 960, time.monotonic()))
    viewer.wire.takes = True
    await until(lambda: not viewer.sender._queue, within=5, what="the rest is sent")
    assert [packet.payload for packet in viewer.rtp()] == [
        bytes((number,)) for number in range(3, QUEUE_LIMIT["audio"] + 3)
    ]
    assert viewer.sender.dropped == 3


async def test_a_pause_discards_what_waits(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out)
    viewer.wire.takes = False
    viewer.stream.deliver(frame(0, keyframe=True))
    viewer.sender.flow.set_paused(True)
    viewer.wire.takes = True
    assert viewer.sender.flush()
    assert viewer.wire.sends == []
    viewer.sender.flow.set_paused(False)
    viewer.stream.deliver(frame(1))
    viewer.stream.deliver(frame(2, keyframe=True))
    assert numbers(viewer.rtp()) == [2]


async def test_reports_come_from_the_first_frame_on_and_tell_times(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out)
    assert viewer.sender.report()
    assert viewer.wire.sends == [], "nothing was sent: nothing to report"
    captured = time.monotonic() - 0.5
    viewer.stream.deliver(EncodedFrame(frame(7, keyframe=True).data, True, 7000, captured))
    (packet,) = viewer.rtp()
    await until(lambda: bool(viewer.wire.sends), within=5, what="the first report comes at once")
    (report, names) = viewer.rtcp()
    assert isinstance(report, RtcpSrPacket)
    assert isinstance(names, RtcpSdesPacket)
    assert (report.ssrc, names.chunks[0].items) == (SSRC, [(1, b"catnap")])
    info = report.sender_info
    assert (info.packet_count, info.octet_count) == (1, len(packet.payload))
    age = (info.rtp_timestamp - packet.timestamp) % 2**32 / 90_000
    assert age >= 0.5
    behind = (current_ntp_time() - info.ntp_timestamp) / 2**32 + age
    assert behind == pytest.approx(time.monotonic() - captured, abs=0.01)
    viewer.wire.sends.clear()
    await until(lambda: bool(viewer.wire.sends), within=10, what="another report comes")


async def test_a_receiver_report_gives_loss_and_round_trip(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out)
    sent = (current_ntp_time() >> 16) - 65536 // 2
    block = RtcpReceiverInfo(
        ssrc=SSRC,
        fraction_lost=64,
        packets_lost=5,
        highest_sequence=0,
        jitter=9,
        lsr=sent & 0xFFFFFFFF,
        dlsr=65536 // 4,
    )
    viewer.sender.rtcp_received(RtcpRrPacket(1, [block]))
    reports = viewer.sender.reports
    assert (reports.lost, reports.fraction_lost, reports.jitter) == (5, 0.25, 9)
    assert reports.round_trip == pytest.approx(0.25, abs=0.05)
    block.lsr = (sent + 65536 * 5) & 0xFFFFFFFF
    viewer.sender.rtcp_received(RtcpRrPacket(1, [block]))
    assert reports.round_trip == pytest.approx(0.25, abs=0.05), "a report from the future is not believed"


async def test_the_end_says_goodbye_and_is_the_end(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out)
    viewer.stream.deliver(frame(0, keyframe=True))
    viewer.wire.sends.clear()
    viewer.sender.stop()
    viewer.sender.stop()
    (goodbye,) = viewer.rtcp()
    assert isinstance(goodbye, RtcpByePacket)
    assert goodbye.sources == [SSRC]
    assert viewer.stream.places == []
    assert not viewer.sender.report()


async def test_one_sender_s_defect_does_not_stop_the_others(fan_out: FanOut) -> None:
    broken, good = Viewer(fan_out), Viewer(fan_out)
    for viewer in (broken, good):
        viewer.wire.takes = False
        viewer.stream.deliver(frame(0, keyframe=True))
        viewer.wire.takes = True

    def fail(data: memoryview, stride: int) -> bool:
        raise RuntimeError("broken on purpose")

    object.__setattr__(broken.wire, "send_segments", fail)
    await until(lambda: not good.sender._queue, within=5, what="the other's frame leaves")
    await until(lambda: broken.sender not in fan_out._waiting, within=5, what="it is given up")


async def test_many_viewers_hold_the_event_loop_for_one_send_at_a_time_and_nobody_is_forgotten() -> None:
    fan_out = FanOut(turn=0.0)
    viewers = [Viewer(fan_out) for _ in range(20)]
    sent_between = []

    def look() -> None:
        sent_between.append(sum(bool(viewer.wire.sends) for viewer in viewers))
        if sent_between[-1] < len(viewers):
            asyncio.get_running_loop().call_soon(look)

    look()
    pictures = [frame(0, keyframe=True, size=2 * MAX_SEGMENTS * MAX_PAYLOAD), frame(1)]
    for picture in pictures:
        for viewer in viewers:
            viewer.stream.deliver(picture)
    await until(lambda: not any(viewer.sender._queue for viewer in viewers), within=5, what="all is sent")
    assert max(after - before for before, after in itertools.pairwise(sent_between)) <= 2
    for viewer in viewers:
        assert numbers(viewer.rtp())[-1] == 1
    fan_out.close()


async def test_who_leaves_before_its_turn_is_sent_nothing() -> None:
    fan_out = FanOut(turn=0.0)
    viewers = [Viewer(fan_out) for _ in range(3)]
    for viewer in viewers:
        viewer.stream.deliver(frame(0, keyframe=True))
    viewers[1].sender.flow.set_paused(True)
    await until(lambda: bool(viewers[2].wire.sends), within=5, what="the last one's turn")
    assert [len(viewer.rtp()) for viewer in viewers] == [1, 0, 1]
    fan_out.close()
