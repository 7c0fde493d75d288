"""What a viewer's RTCP says about one sender."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from aiortc.clock import current_ntp_time
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    unpack_remb_fci,
)

_MOST_CREDIBLE = 30.0
"""Seconds; a longer round trip is a viewer that answers an old report, or makes it up."""


@dataclass(slots=True)
class ReceiverReports:
    """The latest figures.

    `count`: reports that came; `lost`: packets missed since the start; `fraction_lost`: of late, 0 to 1;
    `jitter`: in ticks of the media clock; `delay`: since our report, in 1/65536 s; `round_trip`: seconds,
    None before it is known; `trains`: reports behind trains of packets that were answered, `train_trip`: the
    round trip of the last of these; `bitrate`: bit/s the viewer believes it can receive; `nacks`: packets it
    asked for again.
    """

    count: int = 0
    nacks: int = 0
    keyframe_requests: int = 0
    bitrate: int = 0
    lost: int = 0
    fraction_lost: float = 0.0
    jitter: int = 0
    delay: int = 0
    round_trip: float | None = None
    trains: int = 0
    train_trip: float = 0.0
    _train: int | None = None
    _train_answered: int | None = None

    def expect_train(self, report: int) -> None:
        """Note that the report with this time (the middle 32 bits of NTP's) follows a train of packets: the
        viewer's answer to it says nothing about the usual round trip.
        """
        self._train = report

    def take(self, packet: AnyRtcpPacket, ssrc: int) -> None:
        """Note what a packet says about the sender with that SSRC."""
        if isinstance(packet, (RtcpRrPacket, RtcpSrPacket)):
            for report in packet.reports:
                if report.ssrc == ssrc:
                    self._take_report(report)
        elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            try:
                self.bitrate = unpack_remb_fci(packet.fci)[0]
            except (ValueError, struct.error):  # it counts more names than it has
                return

    def _take_report(self, report: RtcpReceiverInfo) -> None:
        self.count += 1
        self.lost, self.jitter, self.delay = report.packets_lost, report.jitter, report.dlsr
        self.fraction_lost = report.fraction_lost / 256
        if report.lsr:
            now = current_ntp_time() >> 16 & 0xFFFFFFFF
            round_trip = ((now - report.lsr - report.dlsr) & 0xFFFFFFFF) / 65536
            if round_trip >= _MOST_CREDIBLE:
                return
            if report.lsr == self._train:
                if self._train_answered != self._train:
                    self._train_answered = self._train
                    self.trains, self.train_trip = self.trains + 1, round_trip
            else:
                self.round_trip = round_trip


def wants_keyframe(packet: AnyRtcpPacket) -> bool:
    """Whether it is a PLI or FIR: the viewer cannot decode what it has."""
    return isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR)


def missing(packet: AnyRtcpPacket) -> list[int]:
    """Return the sequence numbers that a NACK asks for."""
    if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
        return packet.lost
    return []
