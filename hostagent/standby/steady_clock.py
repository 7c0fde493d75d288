"""One clock for all decisions of a run: it reads like the wall's, but no step of that moves it.

Deadlines are kept on it. Stamps that outlive the agent are turned into wall time where they leave, and back
where they come in.
"""

from hostagent.clock import Clock


class SteadyClock:
    """Seconds since 1970 (UTC) as of the start, counted on by the monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._base = clock.now() - clock.monotonic()

    def now(self) -> float:
        """Return the steady time."""
        return self._base + self._clock.monotonic()

    def to_wall(self, moment: float) -> float:
        """Return what a wall clock that is right now showed, or will show, at a steady moment."""
        return moment + (self._clock.now() - self.now())

    def from_wall(self, stamp: float) -> float:
        """Return the steady moment of a stamp; one in the future (the clock was set back) is now."""
        return min(stamp - (self._clock.now() - self.now()), self.now())
