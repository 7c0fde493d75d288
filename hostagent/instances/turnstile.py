"""Who may change level now: wakes before sleeps, and only so many of each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turnstile:
    """Lets so many wakes and sleeps through at a time; a sleep waits while any wake waits or is under way."""

    def __init__(self, wakes: int, sleeps: int) -> None:
        """Allow so many at a time."""
        self._wakes = asyncio.Semaphore(wakes)
        self._sleeps = asyncio.Semaphore(sleeps)
        self._pending = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @asynccontextmanager
    async def waking(self) -> AsyncIterator[None]:
        """Be one of the wakes."""
        self._pending += 1
        self._quiet.clear()
        try:
            async with self._wakes:
                yield
        finally:
            self._pending -= 1
            if self._pending == 0:
                self._quiet.set()

    @asynccontextmanager
    async def sleeping(self) -> AsyncIterator[None]:
        """Be one of the sleeps."""
        async with self._sleeps:
            await self._quiet.wait()
            yield
