"""The one owner of who is connected, who watches, who controls, and which rules apply."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client import CollectorRegistry
from pydantic import JsonValue

from streamserver.logs import get_logger
from streamserver.members.profile import MemberProfile
from streamserver.members.provider import random_text
from streamserver.sessions.control import is_private_for, may_control
from streamserver.sessions.entry import Attempt, Entry, Schedule, loop_schedule
from streamserver.sessions.errors import (
    ConnectRefusedError,
    LoginsLockedError,
    SessionAlreadyConnectedError,
    SessionNotFoundError,
    TooManySessionsError,
)
from streamserver.sessions.events import SessionEvents
from streamserver.sessions.model import (
    ABSENT,
    API_SESSION_ID,
    MediaPeer,
    RoomSettings,
    Session,
    SessionId,
    SocketPeer,
)
from streamserver.sessions.saver import Saver
from streamserver.sessions.stats import SessionStats, register_metrics
from streamserver.sessions.store import TOKEN_LENGTH, StoredSession, dump, load

if TYPE_CHECKING:
    from streamserver.config.settings import SessionSettings

log = get_logger("sessions")

Sessions: TypeAlias = list[Session]

LEFT_CODES = frozenset({1000, 1001})
"""WebSocket close codes that say the person left; after any other one they may come back."""

MEDIA_END_DELAY = 1.0
"""Seconds between the loss of a right and the end of the WebRTC connection, so that the client has read
why before its picture stops (neko's value)."""

API_PROFILE = MemberProfile(
    name="API Session",
    is_admin=True,
    can_login=True,
    can_watch=True,
    can_host=True,
    can_access_clipboard=True,
)
"""The rights behind `session.api_token`: an admin that cannot connect."""


def utc_now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)


class SessionManager:
    """Changes sessions and tells everybody about it. All of it happens on one event loop.

    The order of the signals is neko's; `streamserver/sessions/README.md` has the state diagram.
    """

    def __init__(
        self,
        settings: SessionSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        registry: CollectorRegistry | None = None,
        schedule: Schedule = loop_schedule,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`clock` (monotonic seconds), `schedule` and `now` are there for tests."""
        self.events = SessionEvents(settings.connecting_timeout)
        self.room = RoomSettings.at_start(settings)
        self._settings = settings
        self._clock = clock
        self._schedule = schedule
        self._now = now
        self._entries: dict[SessionId, Entry] = {}
        self._by_token: dict[bytes, Entry] = {}
        self._controller: Session | None = None
        self._api_digest = _digest(settings.api_token.get_secret_value())
        self._api_session = Session(API_SESSION_ID, API_PROFILE)
        self._saver = Saver(settings.file, self._content) if settings.file else None
        self._tasks: set[asyncio.Task[str | None]] = set()
        self._stopping = False
        self._started_at = now()
        self._last_left: dict[bool, datetime] = {}
        if registry is not None:
            register_metrics(registry, self.list)

    async def start(self) -> None:
        """Take in the sessions of `session.file`. Raises `SessionFileError`."""
        if self._settings.file is not None and self._saver is not None:
            for stored in await asyncio.to_thread(load, self._settings.file):
                self._add(SessionId(stored.id), stored.profile, stored.token)
            if self._entries:
                log.info("sessions restored", count=len(self._entries), file=str(self._settings.file))
            await self._saver.start()

    async def stop(self) -> None:
        """Disconnect everybody, wait for hooks that still run, and write the session file."""
        self.shutdown()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.connecting_timeout)
        if self._saver is not None:
            await self._saver.stop()

    def shutdown(self) -> None:
        """Disconnect everybody at once, telling them why, and take nobody any more."""
        self._stopping = True
        for entry in tuple(self._entries.values()):
            self._end_connection(entry, "connection shutdown", partial(self._close_media, entry, "shutdown"))
            entry.stop_timers()

    # who there is

    def get(self, session_id: str) -> Session | None:
        """Return the session with this id; never the API's."""
        entry = self._entries.get(SessionId(session_id))
        return entry.session if entry else None

    def list(self) -> Sessions:
        """Return all sessions, oldest first, connected or not; without the API's."""
        return [entry.session for entry in self._entries.values()]

    def by_token(self, token: str) -> Session | None:
        """Return the session a token belongs to.

        Tokens are looked up by digest, so the time this takes says nothing about a nearly right one.
        """
        digest = _digest(token)
        if hmac.compare_digest(digest, self._api_digest) and token:
            return self._api_session
        entry = self._by_token.get(digest)
        return entry.session if entry else None

    def stats(self) -> SessionStats:
        """Return how many are connected now."""
        connected = [session for session in self.list() if session.is_connected]
        admins = sum(session.profile.is_admin for session in connected)
        return SessionStats(
            controller_id=self._controller.id if self._controller else None,
            server_started_at=self._started_at,
            total_users=len(connected) - admins,
            last_user_left_at=self._last_left.get(False),
            total_admins=admins,
            last_admin_left_at=self._last_left.get(True),
        )

    def broadcast(self, event: str, payload: object = ABSENT, *, exclude: Session | None = None) -> None:
        """Send a message to every connected session but `exclude`."""
        for session in self.list():
            if session is not exclude:
                session.send(event, payload)

    # logging in and out

    def create(self, member_id: str, profile: MemberProfile) -> tuple[Session, str]:
        """Log a member in; return the new session and its token.

        A session of the same id that is not connected gives way. Raises `LoginsLockedError`,
        `SessionAlreadyConnectedError` or `TooManySessionsError`.
        """
        session_id = SessionId(member_id)
        if self.room.locked_logins and not profile.is_admin:
            raise LoginsLockedError
        existing = self.get(session_id)
        if session_id == API_SESSION_ID or (existing and existing.is_connected):
            raise SessionAlreadyConnectedError
        if existing:
            self.delete(session_id)
        self._make_space()
        token = random_text(TOKEN_LENGTH)
        session = self._add(session_id, profile, token)
        self._changed()
        self.events.created.emit(session)
        return session, token

    def delete(self, session_id: str, reason: str = "session deleted") -> None:
        """End a session for good: its token, its connections, its control. Raises `SessionNotFoundError`."""
        entry = self._entry(session_id)
        del self._entries[entry.session.id]
        del self._by_token[_digest(entry.token)]
        self._changed()

        def gone() -> None:
            entry.stop_timers()
            self._close_media(entry, reason)
            if self._controller is entry.session:
                self.set_controller(entry.session, None)
            self.events.deleted.emit(entry.session)

        self._end_connection(entry, reason, gone)

    def _add(self, session_id: SessionId, profile: MemberProfile, token: str) -> Session:
        entry = Entry(Session(session_id, profile), token, self._clock())
        self._entries[session_id] = entry
        self._by_token[_digest(token)] = entry
        return entry.session

    def _make_space(self) -> None:
        """Forget the sessions that are away longest: most ids are of one login and never used again."""
        limit = self._settings.max_sessions
        while len(self._entries) >= limit:
            away = [
                e for e in self._entries.values() if not (e.session.is_connected or e.session.is_watching)
            ]
            if not away:
                raise TooManySessionsError(limit)
            longest = min(away, key=lambda entry: entry.idle_since)
            log.info("forgetting the session that is away longest", session=longest.session.id, limit=limit)
            self.delete(longest.session.id)

    # connecting and disconnecting

    async def connect(self, session: Session, socket: SocketPeer) -> None:
        """Take a WebSocket: await the `connecting` hooks, then announce it; it replaces an older one.

        Raises `ConnectRefusedError` with the reason for the client; also when the socket was lost meanwhile.
        Sockets of one session are taken one after the other. However this ends, and when it is
        cancelled too, call `socket_closed` once the socket is closed.
        """
        entry = self._entries.get(session.id)
        if entry is None or entry.session is not session:
            refusal = "connection disabled" if session is self._api_session else "session not found"
            raise ConnectRefusedError(refusal)
        attempt = Attempt(socket)
        entry.attempts.append(attempt)
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

    def socket_closed(self, session: Session, socket: SocketPeer, code: int | None) -> None:
        """Take note that a WebSocket is closed, with the client's close code (None: none came).

        1000 and 1001 disconnect the session now, everything else after `session.disconnect_delay` unless
        it comes back. A socket that was replaced, or closed by us, changes nothing.
        """
        entry = self._entries.get(session.id)
        if entry is None or entry.session is not session:
            return
        for attempt in entry.attempts:
            if attempt.socket is socket:
                attempt.lose(code)
        if session.socket is socket:
            session.socket = None
            self._lost(entry, code)

    def disconnect(self, session_id: str, reason: str = "session disconnected") -> None:
        """Close both connections of a session; it may come back. Raises `SessionNotFoundError`."""
        entry = self._entry(session_id)
        self._end_connection(entry, reason, lambda: self._close_media(entry, reason))

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
                attempt.hooks = asyncio.create_task(self.events.connecting.emit(entry.session))
                await asyncio.wait({attempt.hooks})
                entry.current = None
                return self._conclude(entry, attempt)
        finally:
            entry.attempts.remove(attempt)

    def _refusal(self, entry: Entry, attempt: Attempt) -> str | None:
        session = entry.session
        if self._stopping:
            return "connection shutdown"
        if self._entries.get(session.id) is not entry:
            return "session deleted"
        if attempt.lost:
            return "connection lost"
        if not session.profile.can_login:
            return "session login disabled"
        if not session.profile.can_connect:
            return "connection disabled"
        if session.is_connected and not self.room.merciful_reconnect:
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
        self.events.connected.emit(session)
        self.lift_protection(session)
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
            self._close_media(entry, "session disconnected")
        else:
            entry.grace = self._schedule(self._settings.disconnect_delay, lambda: self._grace_over(entry))

    def _grace_over(self, entry: Entry) -> None:
        entry.grace = None
        if entry.session.socket is None and entry.current is None:
            self._disconnected(entry)

    def _end_connection(self, entry: Entry, reason: str, then: Callable[[], None]) -> None:
        """Disconnect, tell and close the socket, then go on with `then`; all after hooks that still run."""

        def end() -> None:
            socket, entry.session.socket = entry.session.socket, None
            self._disconnected(entry)
            if socket is not None:
                socket.close(reason)
            then()

        if entry.current is not None:
            entry.current.end(reason, end)
        else:
            end()

    def _disconnected(self, entry: Entry) -> None:
        """The only place where `disconnected` comes from: once for each time the state goes back."""
        session = entry.session
        if not session.is_connected:
            return
        entry.stop_grace()
        session.socket = None
        entry.idle_since = self._clock()
        self._set_connected(entry, connected=False)
        self._last_left[session.profile.is_admin] = self._now()
        if self._controller is session:
            self.set_controller(session, None)
        self._protect_controls(session)
        self.events.disconnected.emit(session)

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

    # picture and sound

    def set_media(self, session: Session, peer: MediaPeer | None) -> None:
        """Make `peer` the WebRTC connection of the session and close the one before; None: it has none.

        A peer for a session that ended meanwhile is closed at once.
        """
        entry = self._entries.get(session.id)
        if entry is None or entry.session is not session or self._stopping:
            if peer is not None:
                peer.close("session deleted")
            return
        if peer is None:
            self._close_media(entry, "closed")
            return
        previous = session.media
        if previous is peer:
            return
        session.media = peer
        self._watching(session, watching=False)
        if previous is not None:
            previous.close("replaced by a newer connection")
        peer.set_paused(is_private_for(session, self.room))

    def set_watching(self, session: Session, peer: MediaPeer, watching: bool) -> None:
        """Take note that `peer` works, or stopped to; from a peer that is not current it means nothing."""
        if session.media is peer:
            self._watching(session, watching=watching)

    def _watching(self, session: Session, *, watching: bool) -> None:
        if session.is_watching == watching:
            return
        since = self._now()
        session.state = replace(
            session.state,
            is_watching=watching,
            watching_since=since if watching else None,
            not_watching_since=None if watching else since,
        )
        entry = self._entries.get(session.id)
        if entry is not None:
            entry.idle_since = self._clock()
        self.events.state_changed.emit(session)

    def _close_media(self, entry: Entry, reason: str) -> None:
        peer = entry.session.media
        if entry.media_end is not None:
            entry.media_end.cancel()
            entry.media_end = None
        if peer is None:
            return
        entry.session.media = None
        peer.close(reason)
        self._watching(entry.session, watching=False)
        self.events.media_closed.emit(entry.session)

    # rights and rules

    def update_profile(self, session: Session, profile: MemberProfile) -> None:
        """Give a session another profile, with everything that follows. Raises `SessionNotFoundError`."""
        entry = self._entry(session.id)
        old, session.profile = session.profile, profile
        self._changed()
        self.events.profile_changed.emit(session, profile, old)
        if self._controller is session and not self._may_keep_control(session):
            self.set_controller(session, None)
        may_connect = profile.can_connect and profile.can_login
        if session.media is not None and not (may_connect and profile.can_watch) and entry.media_end is None:
            entry.media_end = self._schedule(
                MEDIA_END_DELAY, lambda: self._close_media(entry, "profile changed")
            )
        if session.is_connected and not may_connect:
            self._end_connection(entry, "profile changed", lambda: None)
        if session.media is not None:
            session.media.set_paused(is_private_for(session, self.room))
        if session.is_connected and profile.is_admin != old.is_admin:
            self.lift_protection(session)
            self._protect_controls(session)

    def update_room(self, actor: Session | None, **changes: JsonValue) -> RoomSettings:
        """Change rules of the room, with everything that follows; return the new ones.

        Raises `BadRoomSettings` and changes nothing when a value has the wrong type.
        """
        old = self.room
        new = self.room = old.merge(changes)
        if new.private_mode != old.private_mode:
            for session in self.list():
                if session.media is not None:
                    session.media.set_paused(is_private_for(session, new))
            self._take_from_forbidden(actor)
        protection_began = new.control_protection and not old.control_protection
        if protection_began and not new.locked_controls and not self._admin_connected():
            new = self.room = new.model_copy(update={"locked_controls": True})
        if new.locked_controls and not old.locked_controls:
            self._take_from_forbidden(actor)
        self.events.settings_changed.emit(actor, new, old)
        return new

    def lift_protection(self, session: Session) -> None:
        """Unlock protected controls if `session` is a connected admin.

        For the websocket room, which does this between two messages; otherwise it is done here.
        """
        protected = self.room.control_protection and self.room.locked_controls
        if protected and session.is_connected and session.profile.is_admin:
            self.update_room(session, locked_controls=False)

    def _protect_controls(self, actor: Session) -> None:
        """Lock protected controls when the last admin is gone."""
        room = self.room
        if room.control_protection and not room.locked_controls and not self._admin_connected():
            self.update_room(actor, locked_controls=True)

    def _admin_connected(self) -> bool:
        return any(s.is_connected and s.profile.is_admin for s in self.list())

    # control

    @property
    def controller(self) -> Session | None:
        """The session that has control (neko: the host)."""
        return self._controller

    def set_controller(self, actor: Session, session: Session | None) -> None:
        """Give control to `session`, or to nobody, at the wish of `actor`. Rules are not looked at."""
        previous = self._controller
        if previous is None and session is None:
            return
        if previous is not None:
            previous.is_controller = False
        self._controller = session
        if session is not None:
            session.is_controller = True
        self.events.controller_changed.emit(actor, session)

    def _may_keep_control(self, session: Session) -> bool:
        locked = self.room.locked_controls and not session.profile.is_admin
        return may_control(session, self.room) and not locked

    def _take_from_forbidden(self, actor: Session | None) -> None:
        controller = self._controller
        if controller is not None and not self._may_keep_control(controller):
            self.set_controller(actor or controller, None)

    # keeping

    def _entry(self, session_id: str) -> Entry:
        entry = self._entries.get(SessionId(session_id))
        if entry is None:
            raise SessionNotFoundError
        return entry

    def _changed(self) -> None:
        if self._saver is not None:
            self._saver.changed()

    def _content(self) -> bytes:
        entries = self._entries.values()
        return dump(StoredSession(e.session.id, e.token, e.session.profile) for e in entries)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
