"""How much of what waits may leave now. Pure."""

from __future__ import annotations

BURST_SECONDS = 0.01
"""What may leave at once, in seconds of the rate..."""

LEAST_BURST = 2500
"""... but two packets at least, bytes."""

LONGEST_LAG = 0.1
"""Seconds of the rate that may follow at once when something waited for longer than it should: a busy process
must not make the network look slow."""

LONGEST_DEBT = 0.1
"""Seconds for which packets that are sent again, which wait for nobody, can hold up those that are new."""


class Pacer:
    """A token bucket in bytes. `rate` is in bit/s; None: all may leave.

    Times are seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._tokens = 0.0
        self._at = float("-inf")

    def allowance(self, now: float, *, waited: bool = False) -> float:
        """Return how many bytes may leave; a negative number when too much has.

        `waited`: whether what is to leave has been waiting since the last time.
        """
        if self.rate is None:
            return float("inf")
        most = max(self.rate / 8 * (LONGEST_LAG if waited else BURST_SECONDS), LEAST_BURST)
        self._tokens = min(self._tokens + (now - self._at) * self.rate / 8, most)
        self._at = now
        return self._tokens

    def spend(self, size: int) -> None:
        """Note that so many bytes left."""
        if self.rate is not None:
            self._tokens = max(self._tokens - size, -self.rate / 8 * LONGEST_DEBT)
