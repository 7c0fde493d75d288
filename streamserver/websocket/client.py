"""One client while it is connected: its session, its sending half, and the bounds on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streamserver.logs import get_logger
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session, SocketPeer
from streamserver.websocket.limits import LogLimiter
from streamserver.websocket.ports import DesktopPort, WebRTCPort

log = get_logger("websocket")

ASK_INTERVAL = 2.0
"""Seconds between two questions to the controller that one client's input causes (a drag is 60 a second)."""

LOG_INTERVAL = 10.0
"""Seconds between two log lines of one kind about one session."""


@dataclass(frozen=True, slots=True)
class Room:
    """What handlers act on."""

    sessions: SessionManager
    desktop: DesktopPort
    webrtc: WebRTCPort
    clock: Callable[[], float]
    """Monotonic seconds."""


class Client:
    """A connected client, as handlers see it."""

    def __init__(
        self, session: Session, socket: SocketPeer, limiter: LogLimiter, clock: Callable[[], float]
    ) -> None:
        """`limiter` is the session's, so that reconnecting buys no more log lines."""
        self.session = session
        self.socket = socket
        self._limiter = limiter
        self._clock = clock
        self._asked = float("-inf")

    def may_ask(self) -> bool:
        """Tell whether its input may ask the controller for control once more."""
        now = self._clock()
        if now - self._asked < ASK_INTERVAL:
            return False
        self._asked = now
        return True

    def complain(self, kind: str, **about: object) -> None:
        """Log something this client did wrong, once per interval and kind."""
        left_out = self._limiter.admit(kind, self._clock())
        if left_out is not None:
            log.info(kind, session=self.session.id, left_out=left_out, **about)

    def note(self, kind: str, **about: object) -> None:
        """Log something of no consequence, for whoever looks for it; once per interval and kind too."""
        left_out = self._limiter.admit(kind, self._clock())
        if left_out is not None:
            log.debug(kind, session=self.session.id, left_out=left_out, **about)
