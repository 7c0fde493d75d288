"""A token bucket, without a clock of its own."""

from __future__ import annotations


class RateLimit:
    """Allows `rate` events a second on average, and up to `burst` of them at once."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._last = now

    def allow(self, now: float) -> bool:
        """Take one token; False if there is none. `now`: seconds of a monotonic clock."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._last) * self._rate)
        self._last = max(self._last, now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
