"""How long to wait before starting something again that keeps ending (pure: times come in)."""

from dataclasses import dataclass

FIRST_DELAY = 0.5
"""Seconds before the first new start."""
LONGEST_DELAY = 30.0
"""Seconds that the wait never exceeds."""
GROWTH = 2.0
"""Each further failure multiplies the wait by this."""
STABLE_AFTER = 60.0
"""Seconds of running after which earlier failures are forgotten."""


@dataclass(slots=True)
class Backoff:
    """Waits that double with each failure and start anew once something ran long enough.

    All times are seconds.
    """

    first: float = FIRST_DELAY
    longest: float = LONGEST_DELAY
    growth: float = GROWTH
    stable_after: float = STABLE_AFTER
    failures: int = 0

    def after_run(self, ran_for: float) -> float:
        """Return how long to wait now that a run of that length has ended."""
        if ran_for >= self.stable_after:
            self.failures = 0
        delay = self.longest
        if self.failures < 64:  # beyond that the power would only overflow
            delay = min(self.longest, self.first * self.growth**self.failures)
        self.failures += 1
        return delay
