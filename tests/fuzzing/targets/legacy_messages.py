"""Messages of version 2: each is refused or becomes messages and requests of version 3, and back.

An input is a number of frames, one a line.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import cast
from urllib.parse import unquote

from pydantic import JsonValue

from streamserver.config import Settings
from streamserver.legacy import to_server
from streamserver.legacy.endpoint import LegacyEndpoint, _Conversation
from streamserver.legacy.inner import Answer, InnerApi
from streamserver.legacy.to_client import ToClient
from streamserver.sessions.model import ABSENT
from streamserver.websocket.client import Client
from streamserver.websocket.limits import LogLimiter
from streamserver.websocket.messages import BadMessage, ClientMessage
from streamserver.websocket.peer import WebSocketPeer, encode_text
from tests.fuzzing.target import OnLoop
from tests.sessions.doubles import FakeSocket, admin
from tests.websocket.room import Room

MAX_LENGTH = 4096
INSTRUMENTED = (
    "streamserver.legacy",
    "streamserver.websocket",
    "streamserver.sessions",
)

_MESSAGES: tuple[Mapping[str, JsonValue], ...] = (
    {"event": "signal/answer", "displayname": "Ann", "sdp": "v=0"},
    {"event": "signal/candidate", "data": '{"candidate":"","sdpMid":"0"}'},
    {"event": "control/keyboard", "layout": "de", "capsLock": True, "numLock": False},
    {"event": "control/clipboard", "text": "hello"},
    {"event": "control/give", "id": "ann"},
    {"event": "chat/message", "content": "hello"},
    {"event": "chat/emote", "emote": "heart"},
    {"event": "screen/set", "width": 1280, "height": 720, "rate": 30},
    {"event": "screen/configurations"},
    {"event": "broadcast/create", "url": "rtmp://192.0.2.1/live"},
    {"event": "admin/lock", "resource": "file_transfer"},
    {"event": "admin/ban", "id": "../../etc"},
    {"event": "admin/mute", "id": "ann"},
    {"event": "openinapp/openlink", "text": "https://example.com"},
)


class Translated(FakeSocket):
    """A socket that is told in version 2, and counts."""

    def __init__(self, translator: ToClient) -> None:
        super().__init__()
        self.translator = translator
        self.size = 0

    def send(self, event: str, payload: object = ABSENT) -> None:
        for fields in self.translator.translate(event, payload):
            self.send_text(encode_text(fields))

    def send_text(self, text: str) -> None:
        self.size += len(text)


class Inner:
    """The server's own routes: every one is there, and answers with an object."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def call(self, method: str, path: str, body: JsonValue = None, *, token: str = "") -> Answer:
        json.dumps(body)
        self.asked.append(path)
        return Answer(200, b'{"width":1280,"height":720,"rate":30}')


class Outer:
    """The endpoint of version 2, without its log-in."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.banned: list[str] = []

    async def dispatch(self, client: Client, message: ClientMessage) -> None:
        await self._room.manager.endpoint.dispatch(client, message)

    def ban(self, session_id: str) -> None:
        self.banned.append(session_id)


class LegacyMessagesTarget(OnLoop):
    """A room with one client of version 2."""

    def feed(self, data: bytes) -> None:
        self.run(self._feed(data.decode("utf-8", "replace")))

    async def _feed(self, text: str) -> None:
        room = Room(Settings())
        room.log_in("ann", admin())
        session, translator, inner = room.session("ann"), ToClient("ann", file_transfer=True), Inner()
        socket = Translated(translator)
        await room.sessions.connect(session, socket)
        client = Client(session, socket, LogLimiter(1.0), lambda: 0.0)
        conversation = _Conversation(
            cast("LegacyEndpoint", Outer(room)), cast("InnerApi", inner), session, "token"
        )
        socket.size = 0
        frames = text.split("\n")
        for frame in frames:
            with contextlib.suppress(BadMessage):
                await conversation.handle(client, cast("WebSocketPeer", socket), translator, frame)
        for path in inner.asked:
            # what a client says never becomes another path
            assert path.startswith("/api/")
            assert path.count("/") <= 5
            assert ".." not in path.split("/")
            unquote(path, errors="strict")
        assert socket.size <= 2000 * len(frames) + 8 * len(text.encode())
        room.sessions.shutdown()


def open_target() -> LegacyMessagesTarget:
    return LegacyMessagesTarget()


def seeds() -> dict[str, bytes]:
    good = {str(message["event"]).replace("/", "-"): message for message in _MESSAGES}
    for event in sorted(to_server.CLIENT_EVENTS):
        good.setdefault(event.replace("/", "-"), {"event": event})
    lines = {name: json.dumps(message).encode() for name, message in good.items()}
    return {**lines, "everything": b"\n".join(lines.values())}
