"""Sleeps wait their turn here: so many at a time, the others in order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hostagent.instances.model import InstanceId, Level


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A decision to put an instance to sleep; compared by identity, so that an old one is never taken for
    a new.
    """

    instance: InstanceId
    level: Level
    generation: int
    reason: str
    deeper: bool
    """It sleeps already and is to go deeper."""


class SleepQueue:
    """Runs requests, at most `limit` at a time. Whether one still stands is looked at when its turn comes."""

    def __init__(self, limit: int, run: Callable[[Request], Awaitable[None]]) -> None:
        self._limit = limit
        self._run = run
        self._waiting: deque[Request] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._open = True

    @property
    def in_flight(self) -> int:
        """Return how many run at this moment."""
        return len(self._running)

    def submit(self, request: Request) -> None:
        """Queue a request; it begins in a later step of the loop."""
        self._waiting.append(request)
        self._pump()

    async def close(self) -> None:
        """Give up those that wait, and wait for those that run."""
        self._open = False
        self._waiting.clear()
        while self._running:
            await asyncio.wait(self._running)

    def _pump(self) -> None:
        while self._open and self._waiting and len(self._running) < self._limit:
            task = asyncio.get_running_loop().create_task(self._one(self._waiting.popleft()))
            self._running.add(task)
            task.add_done_callback(self._ended)

    async def _one(self, request: Request) -> None:
        await self._run(request)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._pump()
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error  # reaches the loop's exception handler: a fault of ours, not of a sleep
