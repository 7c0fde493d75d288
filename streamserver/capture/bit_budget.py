"""How much of its allowance an encoder believes to have, and how much it really has. Pure."""

from __future__ import annotations

FULL = 0.8
"""Share of the bucket from which on it counts as full."""

GAIN = 0.3
"""Share of the bucket that x264 must wrongly believe to lack for a restart to be worth it."""

EXCESS = 0.5
"""Share of the bucket that x264 may be paid in too early: so much may then wait on a full link."""

PAUSE = 0.25
"""Seconds: changes that follow each other within this have a pace; others are events of their own."""

MEMORY = 16
"""Changes over which the pace is a mean, about."""


class BitBudget:
    """The leaky bucket of x264's rate control (VBV), followed from outside: as x264 sees it, and in real
    time.

    x264 counts pictures, not time: it pays in `bitrate / rate` with each picture, as if they came at that
    even rate. On a screen that rests none are encoded, so it still believes to be spent long after the
    link has had time to carry everything; a film of 24 pictures a second where 30 are allowed leaves a fifth
    of the link unused. `is_outdated` says when that is so; an encoder that is started anew, for pictures at
    `pace`, then has the right idea. `is_overdrawn` says that they come faster than it was told; then what
    is allowed at most has to be told.

    `bitrate` in bits a second; `seconds` of it fit into the bucket; at most `fps` pictures a second come.
    Times are seconds of a monotonic clock.
    """

    def __init__(self, bitrate: float, fps: float, seconds: float) -> None:
        self._bitrate = bitrate
        self._fps = fps
        self._rate = fps
        self._income = bitrate / fps
        self._size = bitrate * seconds
        self._believed = self._real = self._size
        self._real_at = 0.0
        self._early = 0.0
        self._changed_at = self._gap = 0.0
        self._gaps = 0

    @property
    def pace(self) -> float:
        """Changes a second, as they came of late; what is allowed when they did not come in a row."""
        return 1 / max(self._gap, 1 / self._fps) if self._gaps else self._fps

    def changed(self, now: float) -> None:
        """Note that a picture of something new is encoded at `now`."""
        gap, self._changed_at = now - self._changed_at, now
        if gap > PAUSE:
            self._gaps = 0
        else:
            self._gaps = min(self._gaps + 1, MEMORY)
            self._gap += (gap - self._gap) / self._gaps

    def spend(self, size: int, now: float) -> None:
        """Note a picture of `size` bytes, encoded at `now`."""
        self._early = max(self._early + self._income - (now - self._real_at) * self._bitrate, 0.0)
        self._real = max(self._real_level(now) - size * 8, 0.0)
        self._real_at = now
        self._believed = min(max(self._believed - size * 8, 0.0) + self._income, self._size)

    def is_outdated(self, now: float) -> bool:
        """Whether x264 believes to be short although the link has rested long enough."""
        real = self._real_level(now)
        return real >= FULL * self._size and real - self._believed >= GAIN * self._size

    @property
    def is_overdrawn(self) -> bool:
        """Whether pictures have come so much faster than x264 was told that the link cannot follow."""
        return self._rate < self._fps and self._early >= EXCESS * self._size

    def restarted(self, rate: float, allowance: float = 1.0) -> None:
        """Note that the encoder has begun anew: for `rate` pictures a second, with that share of a bucket."""
        self._rate = rate
        self._income = self._bitrate / rate
        self._believed = allowance * self._size
        self._early = 0.0

    def _real_level(self, now: float) -> float:
        return min(self._real + (now - self._real_at) * self._bitrate, self._size)
