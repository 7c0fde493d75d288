"""Frames of the WebSocket of version 3: understood or refused, and nobody is told much more than was said.

An input is a number of frames, one a line, of an admin; those behind a `u` are another user's.
"""

from __future__ import annotations

import contextlib
import json

from streamserver.config import Settings
from streamserver.websocket.client import Client
from streamserver.websocket.limits import LogLimiter
from streamserver.websocket.messages import BadMessage, parse
from streamserver.websocket.metrics import CLIENT_EVENTS
from streamserver.websocket.peer import encode
from tests.fuzzing.target import OnLoop
from tests.sessions.doubles import FakeSocket, admin, user
from tests.websocket.room import Room

MAX_LENGTH = 4096
INSTRUMENTED = (
    "streamserver.websocket",
    "streamserver.sessions",
)

_PAYLOADS: dict[str, object] = {
    "signal/request": {"video": {"selector": {"type": "exact", "id": "main"}}, "audio": {"disabled": True}},
    "signal/answer": {"sdp": "v=0"},
    "signal/offer": {"sdp": "v=0"},
    "signal/candidate": {"candidate": "candidate:1 1 udp 1 192.0.2.1 4000 typ host", "sdpMLineIndex": 0},
    "signal/video": {"disabled": False, "selector": {"type": "lower", "bitrate": 1000}, "auto": True},
    "signal/audio": {"disabled": True},
    "control/move": {"x": 10, "y": 20},
    "control/scroll": {"delta_x": 0, "delta_y": -1, "control_key": True},
    "control/paste": {"text": "hello"},
    "clipboard/set": {"text": "hello"},
    "keyboard/map": {"layout": "de", "variant": ""},
    "keyboard/modifiers": {"shift": True, "capslock": False},
    "screen/set": {"width": 1920, "height": 1080, "rate": 30},
    "send/unicast": {"receiver": "bob", "subject": "hi", "body": {"any": ["thing"]}},
    "send/broadcast": {"subject": "hi", "body": None},
    "system/logs": [{"level": "info", "message": "from the page", "fields": {"a": 1}}],
}  # fmt: skip


class Told(FakeSocket):
    """A WebSocket that encodes what it is told, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def send(self, event: str, payload: object = ...) -> None:
        super().send(event, payload)
        self.size += len(encode(event, None if payload is ... else payload))


class WebSocketTarget(OnLoop):
    """A room with an admin and a user."""

    def feed(self, data: bytes) -> None:
        self.run(self._feed(data.decode("utf-8", "replace")))

    async def _feed(self, text: str) -> None:
        room = Room(Settings())
        sockets: dict[str, Told] = {}
        clients: dict[str, Client] = {}
        for name, profile in (("ann", admin()), ("bob", user())):
            room.log_in(name, profile)
            sockets[name] = Told()
            await room.sessions.connect(room.session(name), sockets[name])
            clients[name] = Client(room.session(name), sockets[name], LogLimiter(1.0), lambda: 0.0)
            sockets[name].size = 0
        frames = text.split("\n")
        for frame in frames:
            client = clients["bob" if frame.startswith("u") else "ann"]
            with contextlib.suppress(BadMessage):
                await room.manager.endpoint.dispatch(client, parse(frame.removeprefix("u")))
        told = max(socket.size for socket in sockets.values())
        # non-ASCII is told as \uXXXX; a provide or a list of screens takes some hundred bytes
        assert told <= 2000 * len(frames) + 8 * len(text.encode())
        room.sessions.shutdown()


def open_target() -> WebSocketTarget:
    return WebSocketTarget()


def seeds() -> dict[str, bytes]:
    good: dict[str, bytes] = {}
    for event in sorted(CLIENT_EVENTS):
        message: dict[str, object] = {"event": event}
        if event.startswith(("control/button", "control/key", "control/touch")):
            message["payload"] = {"code": 1, "keysym": 97, "touch_id": 1, "x": 5, "y": 6, "pressure": 9}
        elif event in _PAYLOADS:
            message["payload"] = _PAYLOADS[event]
        good[event.replace("/", "-")] = json.dumps(message).encode()
    taken = [
        b'{"event":"control/request"}',
        good["control-move"],
        b'u{"event":"control/request"}',
        good["send-unicast"],
    ]
    return {**good, "two-people": b"\n".join(taken), "no-json": b"hello", "not-an-object": b"[1,2]"}
