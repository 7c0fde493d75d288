"""Viewers that nobody looks at: they are asked to let go of their connection, so that the machine may sleep.

A page says whether it is hidden (it is told at connecting that we want to know). When it has been hidden, and
its session has sent no input, for `scaletozero.idle_viewer_timeout`, it is sent `scaletozero/idle`: our page
then closes its peer and its WebSocket and returns when somebody touches it. Nobody is cut off: a client that
does not report, or does not obey, stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Protocol

from streamserver.logs import get_logger
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session, SessionId

log = get_logger("scaletozero")

REPORT = "scaletozero/report"
"""To the client: please say from now on whether the page is hidden; `{"idle_after": seconds}`."""
VISIBILITY = "scaletozero/visibility"
"""From the client: `{"hidden": bool}`, when asked to report and at each change."""
IDLE = "scaletozero/idle"
"""To the client: nobody looks; let go; `{"hidden_for": seconds}`."""


class HiddenViewers:
    """Who is hidden since when, and whose time is over: pure.

    Times are seconds of our monotonic clock. While a process is stopped that clock runs on, and nobody looked
    meanwhile either; in a machine that was paused it stands still, and the viewer has the rest of its time.
    """

    def __init__(self, timeout: float, last_input: Callable[[SessionId], float]) -> None:
        """`timeout` in seconds; `last_input` tells when a viewer last sent input."""
        self._timeout = timeout
        self._last_input = last_input
        self._since: dict[SessionId, float] = {}

    def hid(self, viewer: SessionId, now: float) -> None:
        """Note that the viewer's page is hidden; said again, it changes nothing."""
        self._since.setdefault(viewer, now)

    def seen(self, viewer: SessionId) -> None:
        """Note that it is in sight again, or gone."""
        self._since.pop(viewer, None)

    def take_quiet(self, now: float) -> dict[SessionId, float]:
        """Return whose time is over and how long each was hidden; named once, until it hides again."""
        quiet = [viewer for viewer in self._since if self._quiet_at(viewer) <= now]
        return {viewer: now - self._since.pop(viewer) for viewer in quiet}

    def next_look(self) -> float | None:
        """Return when to look again; none: when somebody hides."""
        return min(map(self._quiet_at, self._since), default=None)

    def _quiet_at(self, viewer: SessionId) -> float:
        return max(self._since[viewer], self._last_input(viewer)) + self._timeout


class EventSource(Protocol):
    """What offers a plugin the events that the server does not know: `WebSocketManager`."""

    def add_handler(self, handler: Callable[[Session, str, object], bool]) -> Callable[[], None]:
        """Offer them to `handler`; the returned function ends that."""


class IdleViewers:
    """Asks pages to report, and those that nobody looks at to let go. All of it on the event loop."""

    def __init__(
        self,
        sessions: SessionManager,
        events: EventSource,
        timeout: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`timeout`: seconds, more than 0."""
        self._sessions = sessions
        self._events = events
        self._timeout = timeout
        self._clock = clock
        self._hidden = HiddenViewers(timeout, self._last_input)
        self._undo = contextlib.ExitStack()
        self._timer: asyncio.TimerHandle | None = None

    def attach(self) -> None:
        """Begin; those who are connected already are asked to report as well."""
        events = self._sessions.events
        self._undo.callback(self._events.add_handler(self._hear))
        for signal, listener in (
            (events.connected, self._ask),
            (events.disconnected, self._forget),
            (events.deleted, self._forget),
        ):
            self._undo.callback(signal.subscribe(listener))
        for session in self._sessions.list():
            self._ask(session)

    def detach(self) -> None:
        """End; nobody is asked any more."""
        self._undo.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask(self, session: Session) -> None:
        # a new connection: whatever the one before was, this one says for itself
        self._hidden.seen(session.id)
        session.send(REPORT, {"idle_after": self._timeout})

    def _forget(self, session: Session) -> None:
        self._hidden.seen(session.id)

    def _hear(self, session: Session, event: str, payload: object) -> bool:
        if event != VISIBILITY:
            return False
        hidden = payload.get("hidden") if isinstance(payload, dict) else None
        if hidden is True:
            self._hidden.hid(session.id, self._clock())
        elif hidden is False:
            self._hidden.seen(session.id)
        else:
            log.debug("a report that is none", session=session.id, event_name=event)
        self._look()
        return True

    def _look(self) -> None:
        now = self._clock()
        for viewer, seconds in self._hidden.take_quiet(now).items():
            session = self._sessions.get(viewer)
            if session is not None:
                log.info("hidden viewer is asked to let go", session=viewer, hidden_for=round(seconds, 1))
                session.send(IDLE, {"hidden_for": round(seconds, 1)})
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._hidden.next_look()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._look)

    def _last_input(self, viewer: SessionId) -> float:
        session = self._sessions.get(viewer)
        return float("-inf") if session is None else session.last_input
