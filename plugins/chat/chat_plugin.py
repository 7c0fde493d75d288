"""The plugin: connects the chat to sessions, WebSocket events and the route of administrators."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import BaseModel, JsonValue

from plugins.chat.allowance import Allowance
from plugins.chat.messages import (
    CAN_RECEIVE,
    CAN_SEND,
    INIT,
    MESSAGE,
    BadText,
    MessageBody,
    check_text,
    read_text,
    wire,
)
from plugins.chat.settings import ChatSettings
from streamserver.logs import get_logger
from streamserver.plugins.contract import Managers
from streamserver.plugins.http import Admin, ApiError, JsonRoute, describes
from streamserver.plugins.permission import is_permitted
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Absent, Session

log = get_logger("chat")

NOT_ALLOWED = "not allowed to send chat messages"
"""neko's words."""


class ChatPlugin:
    """Hands messages on to everybody who may read them. Nothing is kept."""

    name = "chat"
    settings_model: type[BaseModel] = ChatSettings

    def __init__(self) -> None:
        self._undo = contextlib.ExitStack()

    async def start(self, managers: Managers, settings: BaseModel) -> None:
        """Begin to listen; with `chat.enabled` off, clients are only told that there is no chat."""
        assert isinstance(settings, ChatSettings)
        chat = Chat(managers.sessions, settings)
        events = managers.sessions.events
        self._undo.callback(events.connected.subscribe(chat.greet))
        self._undo.callback(events.deleted.subscribe(chat.forget))
        self._undo.callback(managers.websocket.add_handler(chat.hear))
        managers.api.add_router("/chat", chat.router())

    async def shutdown(self) -> None:
        """Stop listening."""
        self._undo.close()


class Chat:
    """The chat of one room."""

    def __init__(
        self,
        sessions: SessionManager,
        settings: ChatSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`clock` (monotonic seconds) and `now` are there for tests."""
        self._sessions = sessions
        self._settings = settings
        self._allowance = Allowance(settings.rate)
        self._clock = clock
        self._now = now

    def greet(self, session: Session) -> None:
        """Tell a new connection whether there is a chat."""
        session.send(INIT, {"enabled": self._settings.enabled})

    def forget(self, session: Session) -> None:
        """Keep nothing of a session that is gone."""
        self._allowance.forget(session.id)

    def hear(self, session: Session, event: str, payload: JsonValue | Absent) -> bool:
        """Take `chat/message`. As everywhere in this protocol, a refusal is silent."""
        if event != MESSAGE:
            return False
        try:
            text = read_text(payload, self._settings.max_length)
        except BadText as error:
            log.debug("chat message refused", session=session.id, reason=str(error))
            return True
        if not self._may(CAN_SEND, session):
            log.debug("chat message refused", session=session.id, reason=NOT_ALLOWED)
        elif not self._allowance.take(session.id, self._clock()):
            log.debug("chat message refused", session=session.id, reason="more than chat.rate allows")
        else:
            self._send(session, text)
        return True

    def router(self) -> APIRouter:
        """Return the route by which administrators and programs speak."""
        router = APIRouter(tags=["chat"], route_class=JsonRoute)

        @router.post(
            "",
            operation_id="chatSend",
            status_code=204,
            responses=describes(_400="The text is missing, empty or longer than `chat.max_length`."),
        )
        async def send(admin: Admin, body: MessageBody) -> None:
            """Say something to everybody who may read the chat."""
            if not self._may(CAN_SEND, admin):
                raise ApiError(403, NOT_ALLOWED)
            try:
                self._send(admin, check_text(body.text, self._settings.max_length))
            except BadText as error:
                raise ApiError(400, str(error)) from None

        return router

    def _may(self, what: str, session: Session) -> bool:
        return self._settings.enabled and is_permitted(what, session, self._sessions.room)

    def _send(self, sender: Session, text: str) -> None:
        self._sessions.broadcast(
            MESSAGE,
            wire(sender.id, self._now(), text),
            to=lambda session: self._may(CAN_RECEIVE, session),
        )
