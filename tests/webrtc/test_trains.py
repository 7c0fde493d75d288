"""A train of packets with a report behind it, and what else happens at a change of quality."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import pytest
from aiortc.rtp import RTCP_RTPFB_NACK, RtcpReceiverInfo, RtcpRrPacket, RtcpRtpfbPacket, RtcpSrPacket

from streamserver.webrtc.congestion import TRAIN_LOST, Observation, RungChooser
from streamserver.webrtc.fan_out import FanOut
from streamserver.webrtc.frame_sender import QUEUE_LIMIT
from streamserver.webrtc.pacer import BURST_SECONDS, LEAST_BURST, LONGEST_LAG, Pacer
from streamserver.webrtc.payloads import MAX_PAYLOAD
from tests.webrtc.room import HandStream
from tests.webrtc.test_frame_sender import SSRC, Viewer, frame, numbers

RTX = (SSRC + 1, 103)


@pytest.fixture
async def fan_out() -> AsyncIterator[FanOut]:
    shared = FanOut(turn=math.inf)
    yield shared
    shared.close()


def answer(viewer: Viewer, lsr: int) -> None:
    block = RtcpReceiverInfo(
        ssrc=SSRC, fraction_lost=0, packets_lost=0, highest_sequence=0, jitter=0, lsr=lsr, dlsr=0
    )
    viewer.sender.rtcp_received(RtcpRrPacket(1, [block]))


async def test_a_train_is_what_the_viewer_has_and_its_report_is_told_from_others(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out, rtx=RTX)
    assert not viewer.sender.send_train(8), "nothing was sent yet"
    viewer.stream.deliver(frame(0, keyframe=True, size=4 * MAX_PAYLOAD))
    viewer.wire.sends.clear()
    resent, before = viewer.sender.resent, viewer.sender.observe()
    assert viewer.sender.send_train(8)
    report = next(packet for packet in viewer.rtcp() if isinstance(packet, RtcpSrPacket))
    train = viewer.rtp()
    assert [packet.ssrc for packet in train] == [RTX[0]] * 8
    assert min(len(packet.payload) for packet in train) > MAX_PAYLOAD * 2 // 3
    after = viewer.sender.observe()
    assert (after.octets, after.packets, viewer.sender.resent) == (before.octets, before.packets, resent)
    viewer.sender.report()
    assert viewer.wire.sends == [], "the next report waits for the answer"
    lsr = report.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF
    answer(viewer, (lsr - 65536) & 0xFFFFFFFF)
    assert viewer.sender.observe().trains == 0
    usual = viewer.sender.observe().round_trip
    answer(viewer, lsr)
    answer(viewer, lsr)
    seen = viewer.sender.observe()
    assert (seen.trains, seen.round_trip) == (1, usual)
    assert 0 <= seen.train_trip < 0.5


async def test_who_knows_no_rtx_gets_no_train(fan_out: FanOut) -> None:
    viewer = Viewer(fan_out)
    viewer.stream.deliver(frame(0, keyframe=True, size=4 * MAX_PAYLOAD))
    assert not viewer.sender.send_train(8)


async def test_a_lower_quality_begins_at_once_and_what_was_before_is_forgotten(fan_out: FanOut) -> None:
    viewer, low = Viewer(fan_out, rtx=RTX), HandStream("low")
    viewer.stream.deliver(frame(0, keyframe=True))
    sent = viewer.rtp()
    viewer.sender.flow.set_stream(low, at_once=True)
    viewer.stream.deliver(frame(1))
    viewer.stream.deliver(frame(2, keyframe=True))
    nack = RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, SSRC, [sent[0].sequence_number])
    viewer.sender.rtcp_received(nack)
    assert viewer.rtp() == []
    low.deliver(frame(3, keyframe=True))
    assert numbers(viewer.rtp()) == [3]
    assert not viewer.stream.places


async def test_who_goes_back_before_the_key_frame_asks_for_one(fan_out: FanOut) -> None:
    viewer, low = Viewer(fan_out), HandStream("low")
    viewer.stream.deliver(frame(0, keyframe=True))
    viewer.sender.flow.set_stream(low, at_once=True)
    viewer.sender.flow.set_stream(viewer.stream)
    assert viewer.stream.keyframe_requests == 1
    viewer.stream.deliver(frame(1))
    viewer.stream.deliver(frame(2, keyframe=True))
    assert numbers(viewer.rtp()) == [0, 2]


async def test_a_queue_that_overflows_is_told_before_a_key_frame_is_asked_for(fan_out: FanOut) -> None:
    viewer, low = Viewer(fan_out), HandStream("low")
    viewer.sender.reported = lambda: viewer.sender.flow.set_stream(low, at_once=True)
    viewer.stream.deliver(frame(0, keyframe=True))
    viewer.wire.takes = False
    for number in range(1, QUEUE_LIMIT["video"] + 2):
        viewer.stream.deliver(frame(number))
    assert viewer.sender.observe().overflows == 1
    assert viewer.stream.keyframe_requests == 0, "everybody would get it"
    assert len(low.places) == 1


def test_a_link_that_is_too_slow_for_the_train_is_left_alone_and_asked_again() -> None:
    chooser = RungChooser((2_500_000, 1_000_000), 1)
    trains, trip, asked = 0, 0.0, 0
    for tick in range(400):
        now = tick / 10
        seen = Observation(
            tick * 12_000, tick * 10, reports=tick // 10, round_trip=0.02, trains=trains, train_trip=trip
        )
        decision = chooser.update(now, seen)
        if decision.train:
            asked += 1
            trains, trip = trains + 1, 0.02 + decision.train * 1232 * 8 / (1.5e6 if now < 20 else 10e6)
        assert decision.rung == (1 if now < 20 else decision.rung)
    assert decision.rung == 0
    assert asked > 5


@pytest.mark.parametrize(("reports", "rung"), [(10, 1), (0, 0)])
def test_a_train_without_an_answer_was_lost_if_the_viewer_reports_at_all(reports: int, rung: int) -> None:
    chooser = RungChooser((2_500_000, 1_000_000), 1)
    for tick in range(120):
        now = tick / 10
        first = Observation(tick * 12_000, tick * 10, reports=1 + int(reports * now), round_trip=0.02)
        decision = chooser.update(now, first)
    assert now > 2 + 2 * TRAIN_LOST
    assert decision.rung == rung


def test_what_a_busy_process_held_up_follows_at_once() -> None:
    pacer = Pacer()
    pacer.rate = 1_000_000
    assert pacer.allowance(0.0) > 0
    pacer.spend(10_000)
    assert pacer.allowance(10.0) == max(125_000 * BURST_SECONDS, LEAST_BURST), "it was idle"
    pacer.spend(LEAST_BURST)
    assert pacer.allowance(10.05, waited=True) == pytest.approx(125_000 * 0.05)
    assert pacer.allowance(20.0, waited=True) == pytest.approx(125_000 * LONGEST_LAG)
