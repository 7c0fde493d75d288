"""How much of its allowance an encoder believes to have, and how much it really has. Pure."""

from __future__ import annotations

FULL = 0.8
"""Share of the bucket from which on it counts as full."""

GAIN = 0.3
"""Share of the bucket that x264 must wrongly believe to lack for a restart to be worth it."""


class BitBudget:
    """The leaky bucket of x264's rate control (VBV), followed from outside: as x264 sees it, and in real
    time.

    x264 counts pictures, not time: it pays in `bitrate / fps` with each picture, as if they came at an
    even rate. On a screen that rests none are encoded, so it still believes to be spent long after the
    link has had time to carry everything. `is_outdated` says when that is so; an encoder that is started
    anew then has the right idea.

    `bitrate` in bits a second; `seconds` of it fit into the bucket. Times are seconds of a monotonic clock.
    """

    def __init__(self, bitrate: float, fps: float, seconds: float) -> None:
        self._bitrate = bitrate
        self._income = bitrate / fps
        self._size = bitrate * seconds
        self._believed = self._real = self._size
        self._real_at = 0.0

    def spend(self, size: int, now: float) -> None:
        """Note a picture of `size` bytes, encoded at `now`."""
        self._real = max(self._real_level(now) - size * 8, 0.0)
        self._real_at = now
        self._believed = min(max(self._believed - size * 8, 0.0) + self._income, self._size)

    def is_outdated(self, now: float) -> bool:
        """Whether x264 believes to be short although the link has rested long enough."""
        real = self._real_level(now)
        return real >= FULL * self._size and real - self._believed >= GAIN * self._size

    def restarted(self) -> None:
        """Note that the encoder has begun anew, believing in a full bucket."""
        self._believed = self._size

    def _real_level(self, now: float) -> float:
        return min(self._real + (now - self._real_at) * self._bitrate, self._size)
