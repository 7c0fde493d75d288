"""`clipboard/set` and `control/paste`: what a viewer copied at home comes to the desktop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from streamserver.desktop.clipboard import ClipboardError, ClipboardText
from streamserver.sessions.control import may_control
from streamserver.websocket.client import Client, Room
from streamserver.websocket.control_handlers import CONTROL_L, takes_control
from streamserver.websocket.messages import Paste, Payload, decode

Handler = Callable[[Room, Client, Payload], Awaitable[None]]


async def set_clipboard(room: Room, client: Client, payload: Payload) -> None:
    """`clipboard/set`, for whoever has control."""
    text = decode(Paste, payload).text
    if client.session.is_controller and may_control(client.session, room.sessions.room):
        await _write(room, client, text)


async def paste(room: Room, client: Client, payload: Payload) -> None:
    """`control/paste`: Ctrl+V of the text, or without one of what the clipboard has."""
    text = decode(Paste, payload).text
    if not takes_control(room, client):
        return
    if text and not await _write(room, client, text):
        return  # something else would come out
    if client.session.is_controller:  # still, after the wait
        room.desktop.input.keypress(CONTROL_L, ord("v"))


async def _write(room: Room, client: Client, text: str) -> bool:
    if not client.session.profile.can_access_clipboard:
        client.note("clipboard refused: the session may not use it")
        return False
    try:
        await room.desktop.clipboard.write(ClipboardText(text))
    except ClipboardError as error:
        client.complain("clipboard not set", error=str(error))
        return False
    return True


HANDLERS: Mapping[str, Handler] = {"clipboard/set": set_clipboard, "control/paste": paste}
"""Each event and what it does."""
