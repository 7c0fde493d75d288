"""How long a viewer may be silent: a pure clockwork fed with times (RFC 7675, our figures).

A browser checks an open path every 2.5 s. Ten silent seconds mean that nobody watches; thirty, that nobody
will.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Stop:
    """We were stopped: for `seconds` as the world saw it, of which our own clock counted `counted`.

    The clock of a process that was stopped goes on; that of a machine that slept or was paused does not.
    """

    seconds: float
    counted: float


class StopDetector:
    """Notices, from the times of a periodic call, that the process or the machine was stopped in between."""

    def __init__(self, monotonic: float, wall: float) -> None:
        self._monotonic = monotonic
        self._wall = wall

    def tick(self, monotonic: float, wall: float) -> Stop | None:
        """Return the stop before this call, if there was one; a clock that was set forward looks like one."""
        counted = monotonic - self._monotonic
        seconds = max(counted, wall - self._wall)
        self._monotonic, self._wall = monotonic, wall
        if seconds <= STOPPED_GAP:
            return None
        return Stop(seconds - SWEEP_INTERVAL, max(0.0, counted - SWEEP_INTERVAL))
