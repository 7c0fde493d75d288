"""What a stream hands to its listeners."""

from __future__ import annotations

from dataclasses import dataclass

VIDEO_CLOCK_RATE = 90_000
"""RTP clock of every video stream, Hz (RFC 6184 §8.2.1)."""

AUDIO_CLOCK_RATE = 48_000
"""RTP clock of Opus, Hz, whatever the sample rate inside (RFC 7587 §4.1)."""


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One encoded picture or 10 ms of encoded sound.

    `data`: video: one H.264 access unit in Annex-B form (start codes; a key frame begins with SPS and PPS);
    audio: one Opus packet.
    `keyframe`: whether decoding can start here (always true for audio).
    `rtp_time`: capture time in the media clock (90 kHz video, 48 kHz audio), modulo 2**32; gaps are real.
    `captured_at`: capture time in seconds of `time.monotonic`.
    """

    data: bytes
    keyframe: bool
    rtp_time: int
    captured_at: float
