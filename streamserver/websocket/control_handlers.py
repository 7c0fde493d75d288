"""`control/*`: taking control, and input over the WebSocket.

Input takes control first where the rules allow it, so that whoever clicks a free browser drives it. When
somebody else has control they are asked, and the input is lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from streamserver.sessions.control import ControlDecision, may_control, release_control, request_control
from streamserver.websocket.client import Client, Room
from streamserver.websocket.messages import Button, Finger, Key, Payload, Position, Scroll, decode
from streamserver.websocket.ports import InputPort, TouchPort

CONTROL_L = 0xFFE3
"""The keysym of the left Ctrl key."""

Handler = Callable[[Room, Client, Payload], Awaitable[None]]


async def request(room: Room, client: Client, payload: Payload) -> None:
    """`control/request`."""
    request_control(room.sessions, client.session)


async def release(room: Room, client: Client, payload: Payload) -> None:
    """`control/release`; keys that are down go up with the change of the controller."""
    if may_control(client.session, room.sessions.room):
        release_control(room.sessions, client.session)


async def move(room: Room, client: Client, payload: Payload) -> None:
    """`control/move`."""
    position = decode(Position, payload)
    if takes_control(room, client):
        _move(room, client, (position.x, position.y))


async def scroll(room: Room, client: Client, payload: Payload) -> None:
    """`control/scroll`."""
    wheel = decode(Scroll, payload)
    if takes_control(room, client):
        room.desktop.input.scroll(*wheel.deltas, control_key=wheel.control_key)


def _press_button(pointer: InputPort, code: int) -> None:
    pointer.reset()
    pointer.button_down(code)
    pointer.reset()


def _button(act: Callable[[InputPort, int], None]) -> Handler:
    async def handle(room: Room, client: Client, payload: Payload) -> None:
        button = decode(Button, payload)
        if takes_control(room, client):
            _move(room, client, button.position)
            act(room.desktop.input, button.code)

    return handle


def _key(act: Callable[[InputPort, int], None]) -> Handler:
    async def handle(room: Room, client: Client, payload: Payload) -> None:
        key = decode(Key, payload)
        if takes_control(room, client):
            _move(room, client, key.position)
            act(room.desktop.input, key.keysym)

    return handle


def _shortcut(letter: str) -> Handler:
    async def handle(room: Room, client: Client, payload: Payload) -> None:
        if takes_control(room, client):
            room.desktop.input.keypress(CONTROL_L, ord(letter))

    return handle


def _touch(act: Callable[[TouchPort, Finger], None]) -> Handler:
    async def handle(room: Room, client: Client, payload: Payload) -> None:
        finger = decode(Finger, payload)
        if takes_control(room, client):
            act(room.desktop.touch, finger)

    return handle


def takes_control(room: Room, client: Client) -> bool:
    """Take control if the rules allow; return whether this client has it now."""
    client.session.last_input = room.clock()
    if client.session.is_controller and may_control(client.session, room.sessions.room):
        return True
    controller = room.sessions.controller
    ask = controller is not None and client.may_ask()
    decision = request_control(room.sessions, client.session, ask=ask)
    return decision in (ControlDecision.GRANTED, ControlDecision.ALREADY)


def _move(room: Room, client: Client, position: tuple[int, int] | None) -> None:
    """Put the pointer there, and show the others; None: it stays."""
    if position is not None:
        room.desktop.input.move(*position)
        room.webrtc.cursor_moved(client.session, *position)


HANDLERS: Mapping[str, Handler] = {
    "control/request": request,
    "control/release": release,
    "control/move": move,
    "control/scroll": scroll,
    "control/buttonpress": _button(_press_button),
    "control/buttondown": _button(lambda pointer, code: pointer.button_down(code)),
    "control/buttonup": _button(lambda pointer, code: pointer.button_up(code)),
    "control/keypress": _key(lambda keyboard, keysym: keyboard.keypress(keysym)),
    "control/keydown": _key(lambda keyboard, keysym: keyboard.key_down(keysym)),
    "control/keyup": _key(lambda keyboard, keysym: keyboard.key_up(keysym)),
    "control/touchbegin": _touch(lambda touch, at: touch.begin(at.touch_id, at.x, at.y, at.pressure)),
    "control/touchupdate": _touch(lambda touch, at: touch.update(at.touch_id, at.x, at.y, at.pressure)),
    "control/touchend": _touch(lambda touch, at: touch.end(at.touch_id, at.x, at.y)),
    "control/cut": _shortcut("x"),
    "control/copy": _shortcut("c"),
    "control/select_all": _shortcut("a"),
}
"""Each event and what it does."""
