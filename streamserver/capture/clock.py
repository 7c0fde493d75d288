"""Media clocks: from seconds of `time.monotonic` to RTP time stamps. Pure."""

from __future__ import annotations

import threading

from .frames import AUDIO_CLOCK_RATE

RTP_MODULUS = 1 << 32

OPUS_FRAME_SECONDS = 0.01
"""Length of one Opus packet, seconds. Half of what is usual: sound waits until a packet is full, and players
hold back two or three of them, while the picture waits for nothing (`playout-delay`)."""

OPUS_FRAME_SAMPLES = int(AUDIO_CLOCK_RATE * OPUS_FRAME_SECONDS)
"""Length of one Opus packet in samples of the 48 kHz clock."""

AUDIO_TOLERANCE = 0.1
"""Seconds the sample count may be away from the wall before it is corrected."""


LEAST_PAUSE = 1.0
"""Seconds by which the wall clock must have jumped ahead of the monotonic one to show a pause."""


def rtp_time(seconds: float, clock_rate: int) -> int:
    """Return a moment of `time.monotonic` in an RTP clock of `clock_rate` Hz, modulo 2**32.

    The base is zero, the same for every stream, so that sound and picture of one server share one time line;
    a sender that wants the random offset of RFC 3550 §5.1 adds its own.
    """
    return round(seconds * clock_rate) % RTP_MODULUS


class MachinePauses:
    """How long the machine was suspended or paused altogether, while `time.monotonic` stood still.

    Players must see that time pass: a stamp that goes on where it stopped, hours later, looks like hours of
    delay. (A process that was frozen needs nothing: its clock went on.) One for all streams of a server, so
    that sound and picture stay together; any thread may ask. A wall clock that is set forward looks like one.
    """

    def __init__(self, least: float = LEAST_PAUSE) -> None:
        """`least`: seconds by which the wall clock must run ahead at once; less is a correction."""
        self._least = least
        self._lock = threading.Lock()
        self._ahead: float | None = None
        self._total = 0.0

    def total(self, monotonic: float, wall: float) -> float:
        """Return the seconds of all pauses so far, given both clocks now."""
        with self._lock:
            ahead = wall - monotonic
            if self._ahead is not None and ahead - self._ahead > self._least:
                self._total += ahead - self._ahead
            self._ahead = ahead
            return self._total


class AudioTimeline:
    """Gives each packet of sound its time stamp.

    Sound that flows without a gap advances by exactly one packet; after a gap (silence not sent, the recorder
    restarted, the machine asleep) the stamp jumps by wall time, never backwards. Sound that arrives faster
    than it was played (what a pipe held during a stop) would run ahead of the picture, so it is dropped.
    """

    def __init__(self, tolerance: float = AUDIO_TOLERANCE) -> None:
        self._tolerance = tolerance
        self._next = float("-inf")

    def place(self, arrived_at: float) -> float | None:
        """Return when the packet that arrived at `arrived_at` (seconds) began, or None to drop it."""
        began = arrived_at - OPUS_FRAME_SECONDS
        ahead = self._next - began
        if ahead > self._tolerance:
            return None
        if ahead < -self._tolerance:
            self._next = began
        place = self._next
        self._next = place + OPUS_FRAME_SECONDS
        return place
