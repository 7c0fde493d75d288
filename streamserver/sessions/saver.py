"""Writes the session file behind the back of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from streamserver.logs import get_logger
from streamserver.sessions.errors import SessionFileError
from streamserver.sessions.store import save

log = get_logger("sessions")


class Saver:
    """Writes the file soon after each change, several changes at once, one write at a time.

    A write that fails is logged once until one succeeds; the next change tries again.
    """

    def __init__(self, path: Path, content: Callable[[], bytes]) -> None:
        """`content` gives what the file is to have, at the time of writing."""
        self._path = path
        self._content = content
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    async def start(self) -> None:
        """Write once, to learn now and not later whether that works. Raises `SessionFileError`."""
        await asyncio.to_thread(save, self._path, self._content())
        self._task = asyncio.create_task(self._run(), name="session file")

    def changed(self) -> None:
        """Write soon."""
        self._changed.set()

    async def stop(self) -> None:
        """Write what is not written yet, and end."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        self._task = None
        # the write that was cancelled may not have had the last change, or not have happened
        await self._write()

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._write()

    async def _write(self) -> None:
        # shielded: a thread cannot be cancelled, and two writes at once would share one temporary file
        writing = asyncio.create_task(asyncio.to_thread(save, self._path, self._content()))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})
            if not writing.cancelled():
                writing.exception()
            raise
        except SessionFileError as error:
            if not self._failing:
                log.error("sessions cannot be kept", error=str(error))
            self._failing = True
        else:
            if self._failing:
                log.info("sessions are kept again", file=str(self._path))
            self._failing = False
