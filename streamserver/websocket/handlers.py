"""What each event of a client does: the table, and the events that belong to no other file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from streamserver.config.types import ScreenSize
from streamserver.logs import get_logger
from streamserver.websocket import clipboard_handlers, control_handlers, keyboard_handlers, signal_handlers
from streamserver.websocket.client import Client, Room
from streamserver.websocket.messages import Broadcast, Payload, Screen, Unicast, decode, decode_log_lines
from streamserver.websocket.screen import ScreenChanger

Handler = Callable[[Room, Client, Payload], Awaitable[None]]
"""Handles one event. Raises `BadMessage` for a payload it cannot read; nothing is ever answered to that."""

log = get_logger("websocket")

DEFAULT_RATE = 60
"""Frames per second of a `screen/set` that names none (neko's value)."""

MAX_LOG_LINES = 10
"""Lines of one `system/logs` that are kept."""

MAX_LOG_TEXT = 500
"""Characters of a client's log line that are kept."""


async def heartbeat(room: Room, client: Client, payload: Payload) -> None:
    """`client/heartbeat`: being read is all it is for."""


async def client_logs(room: Room, client: Client, payload: Payload) -> None:
    """`system/logs`: what a client wants in the server's log; level debug, as anybody can write there."""
    lines = decode_log_lines(payload)
    for line in lines[:MAX_LOG_LINES]:
        log.debug(
            "client log",
            session=client.session.id,
            client_level=line.level[:16],
            text=line.message[:MAX_LOG_TEXT],
            fields=repr(line.fields)[:MAX_LOG_TEXT],
        )


async def send_unicast(room: Room, client: Client, payload: Payload) -> None:
    """`send/unicast`: pass something on to one session."""
    message = decode(Unicast, payload)
    receiver = room.sessions.get(message.receiver)
    if receiver is None:
        client.note("message for a session that does not exist", receiver=message.receiver[:64])
        return
    receiver.send(
        "send/unicast",
        {
            "sender": client.session.id,
            "receiver": receiver.id,
            "subject": message.subject,
            "body": message.body,
        },
    )


async def send_broadcast(room: Room, client: Client, payload: Payload) -> None:
    """`send/broadcast`: pass something on to everybody else."""
    message = decode(Broadcast, payload)
    room.sessions.broadcast(
        "send/broadcast",
        {"sender": client.session.id, "subject": message.subject, "body": message.body},
        exclude=client.session,
    )


def set_screen(changer: ScreenChanger) -> Handler:
    """Return the handler of `screen/set`."""

    async def handle(room: Room, client: Client, payload: Payload) -> None:
        wanted = decode(Screen, payload)
        if not client.session.profile.is_admin:
            client.complain("screen size refused: not an admin")
            return
        size = ScreenSize(wanted.width, wanted.height, wanted.rate or DEFAULT_RATE)
        try:
            await changer.set_screen(client.session, size)
        except changer.refusals as error:
            client.complain("screen size refused", size=str(size), error=str(error))

    return handle


def make_table(changer: ScreenChanger) -> Mapping[str, Handler]:
    """Return the handler of each event we know."""
    return {
        "client/heartbeat": heartbeat,
        "system/logs": client_logs,
        **signal_handlers.HANDLERS,
        **control_handlers.HANDLERS,
        **clipboard_handlers.HANDLERS,
        **keyboard_handlers.HANDLERS,
        "screen/set": set_screen(changer),
        "send/unicast": send_unicast,
        "send/broadcast": send_broadcast,
    }
