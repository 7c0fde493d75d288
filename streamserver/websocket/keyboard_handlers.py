"""`keyboard/*`: the layout and the locked modifiers, for whoever has control."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from streamserver.desktop.keyboard import KeyboardError, KeyboardMap
from streamserver.sessions.control import may_control
from streamserver.websocket.client import Client, Room
from streamserver.websocket.messages import Layout, Modifiers, Payload, decode

Handler = Callable[[Room, Client, Payload], Awaitable[None]]


async def set_map(room: Room, client: Client, payload: Payload) -> None:
    """`keyboard/map`."""
    layout = decode(Layout, payload)
    if not _controls(room, client):
        return
    try:
        await room.desktop.keyboard.set_map(KeyboardMap(layout.layout, layout.variant))
    except KeyboardError as error:
        client.complain("keyboard layout refused", error=str(error))


async def set_modifiers(room: Room, client: Client, payload: Payload) -> None:
    """`keyboard/modifiers`."""
    changes = decode(Modifiers, payload)
    if _controls(room, client):
        room.desktop.keyboard.set_modifiers(changes.model_dump(exclude_none=True))


def _controls(room: Room, client: Client) -> bool:
    return client.session.is_controller and may_control(client.session, room.sessions.room)


HANDLERS: Mapping[str, Handler] = {"keyboard/map": set_map, "keyboard/modifiers": set_modifiers}
"""Each event and what it does."""
