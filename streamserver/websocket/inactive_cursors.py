"""The pointers of those who do not control, shown to those who may see them (`session.inactive_cursors`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pydantic import JsonValue

from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import RoomSettings, Session

INTERVAL = 0.75
"""Seconds between two messages (neko's)."""


class InactiveCursors:
    """Sends `session/cursors` while the room's setting is on: each session's way since the last message.

    One empty list says that nothing moves any more; then there is silence.
    """

    def __init__(self, sessions: SessionManager) -> None:
        self._sessions = sessions
        self._ticking: asyncio.Task[None] | None = None
        self._moving = False
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Follow the room's setting."""
        self._unsubscribe = self._sessions.events.settings_changed.subscribe(self._settings_changed)
        if self._sessions.room.inactive_cursors:
            self._begin()

    async def stop(self) -> None:
        """Send nothing more."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if (task := self._ticking) is not None:
            self._end()
            await asyncio.wait({task})

    def _settings_changed(self, _actor: Session | None, new: RoomSettings, old: RoomSettings) -> None:
        if new.inactive_cursors and self._ticking is None:
            self._begin()
        elif old.inactive_cursors and not new.inactive_cursors:
            self._end()
            self._send([])

    def _begin(self) -> None:
        for session in self._sessions.list():
            session.cursor_trail.clear()
        self._moving = False
        self._ticking = asyncio.get_running_loop().create_task(self._tick(), name="inactive cursors")

    def _end(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            ways: list[JsonValue] = []
            for session in self._sessions.list():
                if session.cursor_trail:
                    points: list[JsonValue] = [{"x": x, "y": y} for x, y in session.cursor_trail]
                    session.cursor_trail.clear()
                    ways.append({"id": session.id, "cursors": points})
            if ways or self._moving:
                self._send(ways)
            self._moving = bool(ways)

    def _send(self, ways: list[JsonValue]) -> None:
        self._sessions.broadcast(
            "session/cursors", ways, to=lambda session: session.profile.can_see_inactive_cursors
        )
