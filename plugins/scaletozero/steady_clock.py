"""A clock that never goes back."""

from collections.abc import Callable


class SteadyClock:
    """Tells another clock's seconds; where that one steps back, time stands still and goes on from there.

    Without it a step back would put off every deadline by as much. CLOCK_MONOTONIC promises not to step back,
    but a machine that is restored from a snapshot may come with another one's promises.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Follow `clock`; to be asked by one thread at a time."""
        self._clock = clock
        self._latest = clock()
        self._offset = 0.0

    def __call__(self) -> float:
        """Return the time, in seconds."""
        now = self._clock() + self._offset
        if now < self._latest:
            self._offset += self._latest - now
            now = self._latest
        self._latest = now
        return now
