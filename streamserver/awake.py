"""Deadlines that a stop does not eat up.

The machine may be suspended, or our process frozen, at any instruction, and go on much later. A deadline for
somebody else ("answer within 10 s", "come back within 5 s") would then be over at the first moment, before a
single packet of theirs was read. These begin anew when they come too late:

- a process that was stopped: its monotonic clock has run on;
- a machine that was suspended or paused: its monotonic clock stood still, and its wall clock jumps.

Both are looked at. A wall clock that is set forward looks like a stop too, and gives the other one more time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

OVERSLEPT = 1.0
"""Seconds after its time at which a deadline counts as slept through."""


class Deadline:
    """`seconds` from now, by both clocks (seconds); pure."""

    def __init__(self, seconds: float, monotonic: float, wall: float) -> None:
        self._due = monotonic + seconds, wall + seconds

    def overslept(self, monotonic: float, wall: float) -> bool:
        """Whether a stop came between, so that it says nothing about the other side."""
        return max(monotonic - self._due[0], wall - self._due[1]) > OVERSLEPT


class Handle(Protocol):
    """A call that is due later and can be called off."""

    def cancel(self) -> None:
        """Do not call after all."""


class AwakeTimer:
    """Calls `callback` after `delay` seconds during which we were not stopped; else it waits once more."""

    def __init__(
        self,
        delay: float,
        callback: Callable[[], None],
        *,
        call_later: Callable[[float, Callable[[], None]], Handle] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`call_later` (None: the running event loop's) and the clocks are there for tests."""
        self._delay = delay
        self._callback = callback
        self._call_later = call_later or asyncio.get_running_loop().call_later
        self._monotonic = monotonic
        self._wall = wall
        self._begin()

    def cancel(self) -> None:
        """Do not call after all."""
        self._handle.cancel()

    def _begin(self) -> None:
        self._deadline = Deadline(self._delay, self._monotonic(), self._wall())
        self._handle = self._call_later(self._delay, self._over)

    def _over(self) -> None:
        if self._deadline.overslept(self._monotonic(), self._wall()):
            self._begin()
        else:
            self._callback()


@asynccontextmanager
async def awake_timeout(seconds: float) -> AsyncIterator[None]:
    """Do as `asyncio.timeout`, but for seconds during which we were not stopped. Raises TimeoutError."""
    async with asyncio.timeout(None) as scope:
        timer = AwakeTimer(seconds, lambda: scope.reschedule(asyncio.get_running_loop().time()))
        try:
            yield
        finally:
            timer.cancel()
