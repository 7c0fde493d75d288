"""How long a viewer may be silent: a pure clockwork fed with times (RFC 7675, our figures).

A browser checks an open path every 2.5 s. Ten silent seconds mean that nobody watches; thirty, that nobody
will.
"""

from __future__ import annotations

import enum

FRESH_FOR = 10.0
"""Seconds after the last authenticated check during which a viewer counts as watching."""

EXPIRES_AFTER = 30.0
"""Seconds after the last authenticated check at which the peer is closed (RFC 7675 §5.1)."""

SWEEP_INTERVAL = 1.0
"""Seconds between two looks at all viewers."""

STOPPED_GAP = 3.0
"""A sweep that comes this many seconds after the last one shows that we ourselves were stopped."""


class Freshness(enum.Enum):
    """What the silence of a viewer means."""

    FRESH = "fresh"
    STALE = "stale"
    EXPIRED = "expired"


class Consent:
    """The last sign of one viewer; times are seconds of one monotonic clock."""

    def __init__(self, now: float) -> None:
        self._last = now

    def renew(self, now: float) -> None:
        """Note an authenticated check."""
        self._last = now

    def forgive(self, gap: float) -> None:
        """Do not count `gap` seconds in which we could not have heard anything."""
        self._last += gap

    def freshness(self, now: float) -> Freshness:
        """Judge the silence until now."""
        silence = now - self._last
        if silence < FRESH_FOR:
            return Freshness.FRESH
        return Freshness.STALE if silence < EXPIRES_AFTER else Freshness.EXPIRED


class StopDetector:
    """Notices, from the times of a periodic call, that the process was stopped in between."""

    def __init__(self, now: float) -> None:
        self._last = now

    def tick(self, now: float) -> float:
        """Return for how many seconds we were stopped before this call: 0 when on time."""
        gap = now - self._last
        self._last = now
        return gap - SWEEP_INTERVAL if gap > STOPPED_GAP else 0.0
