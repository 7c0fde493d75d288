"""Sessions hold the machine awake: from before they are told `system/init` until they are gone."""

from __future__ import annotations

from collections.abc import Callable

from plugins.scaletozero.commands import GateWriteError
from plugins.scaletozero.gate_controller import GateController, Pending
from plugins.scaletozero.holds import HoldKey, HoldKind
from streamserver.logs import get_logger
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session, SessionId

log = get_logger("scaletozero")


class SessionHolds:
    """Follows the session manager's events; all of it on the event loop.

    One hold for each session id that has a WebSocket or a WebRTC connection: a connection that replaces
    another changes nothing.
    """

    def __init__(self, sessions: SessionManager, controller: GateController) -> None:
        self._sessions = sessions
        self._controller = controller
        self._holding: set[SessionId] = set()
        self._unannounced: dict[SessionId, int] = {}
        self._subscriptions: list[Callable[[], None]] = []

    @property
    def pending(self) -> int:
        """The number of holding sessions."""
        return len(self._holding)

    async def attach(self) -> None:
        """Listen from now on, and take in those who are connected already."""
        events = self._sessions.events
        self._subscriptions = [
            events.connecting.subscribe(self._connecting),
            events.disconnected.subscribe(self._follow),
            events.state_changed.subscribe(self._follow),
            events.deleted.subscribe(self._release),
        ]
        here = [session for session in self._sessions.list() if _is_here(session)]
        # all at once, so that they wait together; told one after the other, so that the count goes up
        for session, pending in [(session, self._acquire(session)) for session in here]:
            await self._held(session, pending)

    def detach(self) -> None:
        """Listen no more; the holds stay until they are drained."""
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()

    async def _connecting(self, session: Session) -> None:
        """Wait until the machine is held awake, or until that took too long: nobody is refused for it."""
        await self._held(session, self._acquire(session))

    async def _held(self, session: Session, pending: Pending) -> None:
        try:
            await pending.waited()
        except GateWriteError as error:
            log.warning("session is not held awake yet", session=session.id, error=str(error))
        self._announce(session.id)

    def _follow(self, session: Session) -> None:
        if not _is_here(session):
            self._release(session)
        elif session.id not in self._holding:
            self._acquire(session)
            self._announce(session.id)

    def _acquire(self, session: Session) -> Pending:
        if session.id not in self._holding:
            self._holding.add(session.id)
            self._unannounced[session.id] = self.pending
        return self._controller.acquire(_key(session.id), label=session.profile.name)

    def _release(self, session: Session) -> None:
        if session.id not in self._holding:
            return
        self._announce(session.id)
        self._holding.remove(session.id)
        self._controller.release(_key(session.id))
        self._say(f"connection ended, re-enabling scale-to-zero (pending: {self.pending})")

    def _announce(self, session_id: SessionId) -> None:
        """Log that it holds, once, when it is known how that went, but before anything is said of its end."""
        pending = self._unannounced.pop(session_id, None)
        if pending is not None:
            self._say(f"connection started, disabling scale-to-zero (pending: {pending})")

    def _say(self, line: str) -> None:
        log.info(line, gate=self._controller.snapshot().gate.value)


def _key(session_id: SessionId) -> HoldKey:
    return HoldKey(HoldKind.SESSION, session_id)


def _is_here(session: Session) -> bool:
    return session.is_connected or session.is_watching
