"""What one viewer's connection is like, for people and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from streamserver.capture.frames import VIDEO_CLOCK_RATE

if TYPE_CHECKING:
    from .peer import Peer


class MediaStatistics(BaseModel):
    """The picture as it is sent to one viewer. What the viewer decodes its own `getStats` knows."""

    model_config = ConfigDict(frozen=True)

    video: str
    """Which quality it gets."""
    auto: bool
    """Whether that follows its network."""
    paused: bool
    """Whether nothing is sent, as the network cannot take even the lowest."""
    bitrate: int
    """What is sent of late, bit/s."""
    bitrate_limit: int
    """What the quality may use, bit/s."""
    frames: int
    """Pictures sent by this connection."""
    frames_dropped: int
    """Pictures that it left out because earlier ones still waited."""
    packets: int
    """Packets sent, without those sent again."""
    packets_lost: int
    """Packets that the viewer missed."""
    fraction_lost: float
    """Share of the packets that it missed lately, 0 to 1."""
    packets_resent: int
    """Packets sent again."""
    keyframe_requests: int
    """How often the viewer asked for a key frame."""
    round_trip: float | None
    """Seconds; null before it is known."""
    jitter: float
    """Of the packets' arrival, seconds."""
    receiver_estimate: int
    """What the viewer believes it can receive (REMB), bit/s; 0: it did not say."""


def statistics_of(peer: Peer) -> MediaStatistics:
    """Return the figures of now."""
    sender, status, reports = peer.video, peer.video_status, peer.video.reports
    stream = sender.flow.stream
    seen = sender.observe()
    return MediaStatistics(
        video=status.id,
        auto=status.auto,
        paused=status.paused,
        bitrate=round(peer.bitrate),
        bitrate_limit=stream.bitrate if stream is not None else 0,
        frames=sender.frames,
        frames_dropped=sender.dropped,
        packets=seen.packets,
        packets_lost=reports.lost,
        fraction_lost=reports.fraction_lost,
        packets_resent=sender.resent,
        keyframe_requests=reports.keyframe_requests,
        round_trip=reports.round_trip,
        jitter=reports.jitter / VIDEO_CLOCK_RATE,
        receiver_estimate=reports.bitrate,
    )
