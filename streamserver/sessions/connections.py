"""The WebSockets of sessions: taking, replacing, losing and ending them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from streamserver.sessions.entry import Attempt, Entry, Schedule
from streamserver.sessions.errors import ConnectRefusedError
from streamserver.sessions.events import SessionEvents
from streamserver.sessions.media import MediaConnections
from streamserver.sessions.model import Session, SocketPeer
from streamserver.sessions.rules import RoomRules
from streamserver.sessions.table import SessionTable

LEFT_CODES = frozenset({1000, 1001})
"""WebSocket close codes that say the person left; after any other one they may come back."""


class Connections:
    """The state machine of `README.md`. `disconnected` is emitted in one place, once per way back."""

    def __init__(
        self,
        table: SessionTable,
        events: SessionEvents,
        rules: RoomRules,
        media: MediaConnections,
        *,
        delay: float,
        clock: Callable[[], float],
        schedule: Schedule,
        now: Callable[[], datetime],
    ) -> None:
        """`delay`: seconds that a lost connection counts as connected."""
        self._table = table
        self._events = events
        self._rules = rules
        self._media = media
        self._delay = delay
        self._clock = clock
        self._schedule = schedule
        self._now = now
        self._stopping = False
        self._tasks: set[asyncio.Task[str | None]] = set()
        self.last_left: dict[bool, datetime] = {}
        """When the last admin (True) and the last user (False) left."""

    async def connect(self, session: Session, socket: SocketPeer) -> None:
        """Take a WebSocket; see `SessionManager.connect`."""
        entry = self._table.entry_of(session)
        if entry is None:
            is_api = session is self._table.api_session
            raise ConnectRefusedError("connection disabled" if is_api else "session not found")
        attempt = Attempt(socket)
        entry.attempts.append(attempt)
        # a task of its own: whatever becomes of the caller, what the hooks began is brought to an end
        task = asyncio.create_task(self._take(entry, attempt), name=f"connect {session.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            refused = await asyncio.shield(task)
        except asyncio.CancelledError:
            attempt.lose(None)
            raise
        if refused is not None:
            raise ConnectRefusedError(refused)

    def closed(self, session: Session, socket: SocketPeer, code: int | None) -> None:
        """Take note that a WebSocket is closed; see `SessionManager.socket_closed`."""
        entry = self._table.entry_of(session)
        if entry is None:
            return
        for attempt in entry.attempts:
            if attempt.socket is socket:
                attempt.lose(code)
        if session.socket is socket:
            session.socket = None
            self._lost(entry, code)

    def end(self, entry: Entry, reason: str, then: Callable[[], None]) -> None:
        """Disconnect, tell and close the socket, then go on with `then`; all after hooks that still run."""

        def ending() -> None:
            socket, entry.session.socket = entry.session.socket, None
            self._disconnected(entry)
            if socket is not None:
                socket.close(reason)
            then()

        if entry.current is not None:
            entry.current.end(reason, ending)
        else:
            ending()

    def end_all(self, reason: str) -> None:
        """End every connection with its media, and take no more."""
        self._stopping = True
        for entry in self._table.entries():
            self.end(entry, reason, partial(self._media.close, entry, reason))
            entry.stop_timers()

    async def settle(self, timeout: float) -> None:
        """Wait for hooks that still run."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)

    @property
    def stopping(self) -> bool:
        """Whether nobody is taken any more."""
        return self._stopping

    async def _take(self, entry: Entry, attempt: Attempt) -> str | None:
        """Return None when the socket was taken, else why not."""
        try:
            async with entry.turn:
                refusal = self._refusal(entry, attempt)
                if refusal is not None:
                    return refusal
                entry.current = attempt
                entry.stop_grace()
                self._set_connected(entry, connected=True)
                attempt.hooks = asyncio.create_task(self._events.connecting.emit(entry.session))
                await asyncio.wait({attempt.hooks})
                entry.current = None
                return self._conclude(entry, attempt)
        finally:
            entry.attempts.remove(attempt)

    def _refusal(self, entry: Entry, attempt: Attempt) -> str | None:
        session = entry.session
        if self._stopping:
            return "connection shutdown"
        if self._table.entry_of(session) is None:
            return "session deleted"
        if attempt.lost:
            return "connection lost"
        if not session.profile.can_login:
            return "session login disabled"
        if not session.profile.can_connect:
            return "connection disabled"
        if session.is_connected and not self._rules.room.merciful_reconnect:
            return "already connected"
        return None

    def _conclude(self, entry: Entry, attempt: Attempt) -> str | None:
        session = entry.session
        if attempt.endings:
            for ending in attempt.endings:
                ending()
            return attempt.refusal
        if attempt.lost:
            if session.socket is None:
                self._lost(entry, attempt.close_code)
            return "connection lost"
        replaced, session.socket = session.socket, attempt.socket
        self._events.connected.emit(session)
        self._rules.admin_came(session)
        if replaced is not None:
            replaced.close("connection replaced")
        return None

    def _lost(self, entry: Entry, code: int | None) -> None:
        """Go on without a socket: for good when the person left, else for as long as the delay."""
        if not entry.session.is_connected or entry.current is not None:
            return  # hooks of the next socket are running; they decide
        entry.stop_grace()
        if code in LEFT_CODES:
            self._disconnected(entry)
            self._media.close(entry, "session disconnected")
        else:
            entry.grace = self._schedule(self._delay, lambda: self._grace_over(entry))

    def _grace_over(self, entry: Entry) -> None:
        entry.grace = None
        if entry.session.socket is None and entry.current is None:
            self._disconnected(entry)

    def _disconnected(self, entry: Entry) -> None:
        session = entry.session
        if not session.is_connected:
            return
        entry.stop_grace()
        session.socket = None
        entry.idle_since = self._clock()
        self._set_connected(entry, connected=False)
        self.last_left[session.profile.is_admin] = self._now()
        self._rules.somebody_left(session)
        self._events.disconnected.emit(session)

    def _set_connected(self, entry: Entry, *, connected: bool) -> None:
        session = entry.session
        if session.is_connected != connected:
            since = self._now()
            session.state = replace(
                session.state,
                is_connected=connected,
                connected_since=since if connected else None,
                not_connected_since=None if connected else since,
            )
