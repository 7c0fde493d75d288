"""Work of which one piece goes on at a time: the newest. What it replaces may take a moment to end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


class OneAtATime:
    """Runs the newest of its tasks. Used on the event loop."""

    def __init__(self) -> None:
        self._current: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[object, object, None], name: str) -> None:
        """Run this from now on, and end what runs."""
        if self._current is not None:
            self._current.cancel()
        task = asyncio.create_task(work, name=name)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        self._current = task

    async def close(self) -> None:
        """End all, and wait until they have ended."""
        for task in tuple(self._ending):
            task.cancel()
        if self._ending:
            await asyncio.wait(self._ending)
