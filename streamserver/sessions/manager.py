"""The one owner of who is connected, who watches, who controls, and which rules apply."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client import CollectorRegistry
from pydantic import JsonValue

from streamserver.logs import get_logger
from streamserver.members.profile import MemberProfile
from streamserver.members.provider import random_text
from streamserver.sessions.connections import Connections
from streamserver.sessions.control import is_private_for
from streamserver.sessions.entry import Schedule, loop_schedule
from streamserver.sessions.errors import (
    LoginsLockedError,
    SessionAlreadyConnectedError,
    SessionNotFoundError,
    TooManySessionsError,
)
from streamserver.sessions.events import SessionEvents
from streamserver.sessions.media import MediaConnections
from streamserver.sessions.model import (
    ABSENT,
    API_SESSION_ID,
    MediaPeer,
    Message,
    RoomSettings,
    Session,
    SessionId,
    SocketPeer,
)
from streamserver.sessions.rules import RoomRules
from streamserver.sessions.saver import Saver
from streamserver.sessions.stats import SessionStats, register_metrics
from streamserver.sessions.store import TOKEN_LENGTH, load
from streamserver.sessions.table import SessionTable

if TYPE_CHECKING:
    from streamserver.config.settings import SessionSettings

log = get_logger("sessions")

Sessions: TypeAlias = list[Session]


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
        self._settings = settings
        self._table = SessionTable(clock, settings.api_token.get_secret_value())
        self._rules = RoomRules(RoomSettings.at_start(settings), self.events, self._table.sessions)
        self._media = MediaConnections(self.events, clock=clock, schedule=schedule, now=now)
        self._connections = Connections(
            self._table,
            self.events,
            self._rules,
            self._media,
            delay=settings.disconnect_delay,
            clock=clock,
            schedule=schedule,
            now=now,
        )
        self._saver = Saver(settings.file, self._table.content) if settings.file else None
        self._started_at = now()
        if registry is not None:
            register_metrics(registry, self.list)

    async def start(self) -> None:
        """Take in the sessions of `session.file`. Raises `SessionFileError`."""
        if self._settings.file is None or self._saver is None:
            return
        for stored in await asyncio.to_thread(load, self._settings.file):
            self._table.add(SessionId(stored.id), stored.profile, stored.token)
        if len(self._table):
            log.info("sessions restored", count=len(self._table), file=str(self._settings.file))
        await self._saver.start()

    async def stop(self) -> None:
        """Disconnect everybody, wait for hooks that still run, and write the session file."""
        self.shutdown()
        await self._connections.settle(self._settings.connecting_timeout)
        if self._saver is not None:
            await self._saver.stop()

    def shutdown(self) -> None:
        """Disconnect everybody at once, telling them why, and take nobody any more."""
        self._connections.end_all("connection shutdown")

    # who there is

    def get(self, session_id: str) -> Session | None:
        """Return the session with this id; never the API's."""
        try:
            return self._table.entry(session_id).session
        except SessionNotFoundError:
            return None

    def list(self) -> Sessions:
        """Return all sessions, oldest first, connected or not; without the API's."""
        return self._table.sessions()

    def by_token(self, token: str) -> Session | None:
        """Return the session a token belongs to; the API's for `session.api_token`."""
        return self._table.by_token(token)

    def stats(self) -> SessionStats:
        """Return how many are connected now."""
        connected = [session for session in self.list() if session.is_connected]
        admins = sum(session.profile.is_admin for session in connected)
        return SessionStats(
            controller_id=self.controller.id if self.controller else None,
            server_started_at=self._started_at,
            total_users=len(connected) - admins,
            last_user_left_at=self._connections.last_left.get(False),
            total_admins=admins,
            last_admin_left_at=self._connections.last_left.get(True),
        )

    def broadcast(
        self,
        event: str,
        payload: object = ABSENT,
        *,
        exclude: Session | None = None,
        to: Callable[[Session], bool] | None = None,
    ) -> None:
        """Send a message to every connected session but `exclude`; with `to`, to those it is true of."""
        message = Message(event, payload)
        for session in self.list():
            socket = session.socket
            if socket is not None and session is not exclude and (to is None or to(session)):
                socket.pass_on(message)

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
        session = self._table.add(session_id, profile, token)
        self._save()
        self.events.created.emit(session)
        return session, token

    def delete(self, session_id: str, reason: str = "session deleted") -> None:
        """End a session for good: its token, its connections, its control. Raises `SessionNotFoundError`."""
        entry = self._table.entry(session_id)
        self._table.remove(entry)
        self._save()

        def gone() -> None:
            entry.stop_timers()
            self._media.close(entry, reason)
            if self.controller is entry.session:
                self.set_controller(entry.session, None)
            self.events.deleted.emit(entry.session)

        self._connections.end(entry, reason, gone)

    def _make_space(self) -> None:
        """Forget the sessions that are away longest: most ids are of one login and never used again."""
        limit = self._settings.max_sessions
        while len(self._table) >= limit:
            longest = self._table.away_longest()
            if longest is None:
                raise TooManySessionsError(limit)
            log.info("forgetting the session that is away longest", session=longest.session.id, limit=limit)
            self.delete(longest.session.id)

    def _save(self) -> None:
        if self._saver is not None:
            self._saver.changed()

    # connecting and disconnecting

    async def connect(self, session: Session, socket: SocketPeer) -> None:
        """Take a WebSocket: await the `connecting` hooks, then announce it; it replaces an older one.

        Raises `ConnectRefusedError` with the reason for the client; also when the socket was lost meanwhile.
        Sockets of one session are taken one after the other. However this ends, and when it is
        cancelled too, call `socket_closed` once the socket is closed.
        """
        await self._connections.connect(session, socket)

    def socket_closed(self, session: Session, socket: SocketPeer, code: int | None) -> None:
        """Take note that a WebSocket is closed, with the client's close code (None: none came).

        1000 and 1001 disconnect the session now, everything else after `session.disconnect_delay` unless
        it comes back. A socket that was replaced, or closed by us, changes nothing.
        """
        self._connections.closed(session, socket, code)

    def disconnect(self, session_id: str, reason: str = "session disconnected") -> None:
        """Close both connections of a session; it may come back. Raises `SessionNotFoundError`."""
        entry = self._table.entry(session_id)
        self._connections.end(entry, reason, lambda: self._media.close(entry, reason))

    # picture and sound

    def set_media(self, session: Session, peer: MediaPeer | None) -> None:
        """Make `peer` the WebRTC connection of the session and close the one before; None: it has none.

        A peer for a session that ended meanwhile is closed at once.
        """
        entry = self._table.entry_of(session)
        if entry is None or self._connections.stopping:
            if peer is not None:
                peer.close("session deleted")
        elif peer is None:
            self._media.close(entry, "closed")
        else:
            self._media.replace(entry, peer, paused=is_private_for(session, self.room))

    def set_watching(self, session: Session, peer: MediaPeer, watching: bool) -> None:
        """Take note that `peer` works, or stopped to; from a peer that is not current it means nothing."""
        entry = self._table.entry_of(session)
        if entry is not None and session.media is peer:
            self._media.set_watching(entry, watching=watching)

    # rights and rules

    def update_profile(self, session: Session, profile: MemberProfile) -> None:
        """Give a session another profile, with everything that follows. Raises `SessionNotFoundError`."""
        entry = self._table.entry(session.id)
        old, session.profile = session.profile, profile
        self._save()
        self.events.profile_changed.emit(session, profile, old)
        if session.is_controller:
            self._rules.take_from_forbidden(session)
        may_connect = profile.can_connect and profile.can_login
        if not (may_connect and profile.can_watch):
            self._media.close_soon(entry, "profile changed")
        if session.is_connected and not may_connect:
            self._connections.end(entry, "profile changed", lambda: None)
        self._rules.pause(session)
        if session.is_connected and profile.is_admin != old.is_admin:
            self._rules.admin_came(session)
            self._rules.somebody_left(session)

    @property
    def room(self) -> RoomSettings:
        """The rules of the room now."""
        return self._rules.room

    def update_room(self, actor: Session | None, **changes: JsonValue) -> RoomSettings:
        """Change rules of the room, with everything that follows; return the new ones.

        Raises `BadRoomSettings` and changes nothing when a value has the wrong type.
        """
        return self._rules.update(actor, **changes)

    def lift_protection(self, session: Session) -> None:
        """Unlock protected controls if `session` is a connected admin.

        For the websocket room, which does this between two messages; otherwise it is done here.
        """
        self._rules.admin_came(session)

    @property
    def controller(self) -> Session | None:
        """The session that has control (neko: the host)."""
        return self._rules.controller

    def set_controller(self, actor: Session, session: Session | None) -> None:
        """Give control to `session`, or to nobody, at the wish of `actor`. Rules are not looked at."""
        self._rules.set_controller(actor, session)
