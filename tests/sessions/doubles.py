"""Sockets, WebRTC peers, hooks and time under a test's control.

They stand in for the network and the clock only; what they record is what the real ones would be told.
"""

import heapq
import itertools
from collections.abc import Callable

from streamserver.config.settings import SessionSettings
from streamserver.members.multiuser import ADMIN_PROFILE, USER_PROFILE
from streamserver.members.profile import MemberProfile
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import ABSENT, Message, Session


class FakeSocket:
    """A WebSocket that records what it is told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, object]] = []
        self.closed: list[str] = []

    def send(self, event: str, payload: object = ABSENT) -> None:
        self.sent.append((event, payload))

    def pass_on(self, message: Message) -> None:
        self.send(message.event, message.payload)

    def close(self, reason: str) -> None:
        self.closed.append(reason)


class FakePeer:
    """A WebRTC connection that records what it is told."""

    def __init__(self) -> None:
        self.paused: bool | None = None
        self.closed: list[str] = []

    def set_paused(self, paused: bool) -> None:
        self.paused = paused

    def close(self, reason: str) -> None:
        self.closed.append(reason)


class FakeTimer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeTime:
    """A clock that moves when a test says so, and makes the calls that are due then."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._due: list[tuple[float, int, FakeTimer, Callable[[], None]]] = []
        self._order = itertools.count()

    def clock(self) -> float:
        return self.now

    def schedule(self, delay: float, callback: Callable[[], None], /) -> FakeTimer:
        timer = FakeTimer()
        heapq.heappush(self._due, (self.now + delay, next(self._order), timer, callback))
        return timer

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, timer, callback = heapq.heappop(self._due)
            if not timer.cancelled:
                callback()
        self.now = end


class Recorder:
    """Writes down every signal of a manager, in order, as `(signal, session id)` and more."""

    def __init__(self, manager: SessionManager) -> None:
        self.log: list[tuple[object, ...]] = []
        events = manager.events
        events.created.subscribe(lambda s: self.log.append(("created", s.id)))
        events.deleted.subscribe(lambda s: self.log.append(("deleted", s.id)))
        events.connecting.subscribe(self._connecting)
        events.connected.subscribe(lambda s: self.log.append(("connected", s.id)))
        events.disconnected.subscribe(lambda s: self.log.append(("disconnected", s.id)))
        events.profile_changed.subscribe(lambda s, new, old: self.log.append(("profile", s.id)))
        events.state_changed.subscribe(lambda s: self.log.append(("state", s.id, s.is_watching)))
        events.media_closed.subscribe(lambda s: self.log.append(("media_closed", s.id)))
        events.controller_changed.subscribe(
            lambda actor, s: self.log.append(("controller", actor.id, s.id if s else None))
        )
        events.settings_changed.subscribe(
            lambda actor, new, old: self.log.append(("settings", actor.id if actor else None))
        )

    async def _connecting(self, session: Session) -> None:
        self.log.append(("connecting", session.id))

    def take(self) -> list[tuple[object, ...]]:
        """Return what happened since the last time."""
        taken, self.log[:] = list(self.log), []
        return taken


def make_manager(time: FakeTime | None = None, **settings: object) -> SessionManager:
    """Return a manager on a fake clock with these settings."""
    time = time or FakeTime()
    return SessionManager(SessionSettings.model_validate(settings), clock=time.clock, schedule=time.schedule)


def user(**changes: object) -> MemberProfile:
    """Return a user's profile."""
    return USER_PROFILE.model_copy(update={"name": "user", **changes})


def admin(**changes: object) -> MemberProfile:
    """Return an admin's profile."""
    return ADMIN_PROFILE.model_copy(update={"name": "admin", **changes})
