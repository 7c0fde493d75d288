"""What travels: the events of the chat and the shapes of their payloads. Pure."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, JsonValue

from streamserver.sessions.model import Absent, SessionId, rfc3339

INIT = "chat/init"
"""To the client, when it has connected: `{"enabled": bool}`."""
MESSAGE = "chat/message"
"""From the client `{"text"}`, to the clients `{"id", "created", "content": {"text"}}`."""

CAN_SEND = "chat.can_send"
CAN_RECEIVE = "chat.can_receive"
"""Plugin settings of the room and of members."""


class BadText(ValueError):  # noqa: N818 (it says what the text is)
    """A message that is not sent on; the sentence says why."""


class MessageBody(BaseModel):
    """The body of `POST /api/chat`."""

    text: str


def read_text(payload: JsonValue | Absent, longest: int) -> str:
    """Return the text of a client's message; `longest` in characters. Raises `BadText`."""
    text = payload.get("text") if isinstance(payload, dict) else None
    if not isinstance(text, str):
        raise BadText("a message is an object with a text")
    return check_text(text, longest)


def check_text(text: str, longest: int) -> str:
    """Return the text as it is sent on. Raises `BadText`."""
    if not text.strip():
        raise BadText("the message is empty")
    if len(text) > longest:
        raise BadText(f"the message has {len(text)} characters; chat.max_length allows {longest}")
    return text


def wire(sender: SessionId, created: datetime, text: str) -> dict[str, JsonValue]:
    """Return a message as clients get it."""
    return {"id": sender, "created": rfc3339(created), "content": {"text": text}}
