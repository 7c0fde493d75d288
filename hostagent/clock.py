"""The two clocks, as an argument, so that decisions can be tested at any time of any day."""

import time
from typing import Protocol


class Clock(Protocol):
    """Time as the agent sees it."""

    def now(self) -> float:
        """Return seconds since 1970 (UTC); may jump, for stamps that outlive the agent."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations within one run of the agent."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Return seconds since 1970 (UTC)."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()
