"""A room on a real socket: our endpoint under uvicorn, and clients of the `websockets` library.

Desktop and WebRTC are stand-ins that record what they are told: this room's business ends where it calls
them, and their own tests use a real X server and real peers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry
from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from streamserver.api.connections import BoundedHttp, BoundedWebSocket
from streamserver.config import Settings
from streamserver.config.types import ScreenSize
from streamserver.desktop.browser import BrowserState
from streamserver.desktop.errors import ScreenRefused
from streamserver.members.profile import MemberProfile
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session
from streamserver.signals import Signal
from streamserver.webrtc.errors import SignalError
from streamserver.webrtc.signaling import (
    AudioRequest,
    AudioStatus,
    IceServer,
    Provide,
    VideoRequest,
    VideoStatus,
)
from streamserver.websocket.manager import WebSocketManager
from tests.stand_ins import (
    BroadcastStandIn,
    ClipboardStandIn,
    FileChooserStandIn,
    KeyboardStandIn,
    TouchStandIn,
)

Message = dict[str, Any]
"""A message as JSON gives it."""

DEADLINE = 5.0
"""Seconds a client waits for a message in these tests."""


class RecordingInput:
    """Pointer and keyboard that write down what they are told."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def move(self, x: int, y: int) -> None:
        self.calls.append(("move", x, y))

    def scroll(self, dx: int, dy: int, control_key: bool = False) -> None:
        self.calls.append(("scroll", dx, dy, control_key))

    def button_down(self, code: int) -> None:
        self.calls.append(("button_down", code))

    def button_up(self, code: int) -> None:
        self.calls.append(("button_up", code))

    def key_down(self, keysym: int) -> None:
        self.calls.append(("key_down", keysym))

    def key_up(self, keysym: int) -> None:
        self.calls.append(("key_up", keysym))

    def keypress(self, *symbols: int) -> None:
        self.calls.append(("keypress", *symbols))

    def reset(self) -> None:
        self.calls.append(("reset",))

    def take(self) -> list[tuple[object, ...]]:
        """Return what it was told since the last time, without the resets that changes of control bring."""
        taken, self.calls[:] = list(self.calls), []
        return taken


class RecordingDesktop:
    """A desktop without a display; refuses screens above 4000 px as a display might."""

    def __init__(self) -> None:
        self.input = RecordingInput()
        self.clipboard = ClipboardStandIn()
        self.keyboard = KeyboardStandIn()
        self.touch = TouchStandIn()
        self.file_chooser = FileChooserStandIn()
        self.screen = ScreenSize(1280, 720, 30)
        self.on_screen_changed: Signal[[ScreenSize]] = Signal("screen_changed")
        self.browser_state = BrowserState.RUNNING
        self.on_browser_state: Signal[[BrowserState]] = Signal("browser_state")

    async def set_screen(self, size: ScreenSize, /) -> ScreenSize:
        if size.width > 4000:
            raise ScreenRefused(f"the display has no {size}")
        self.screen = ScreenSize(size.width - size.width % 8, size.height, size.rate)
        self.on_screen_changed.emit(self.screen)
        return self.screen

    def screen_configurations(self) -> list[ScreenSize]:
        return [ScreenSize(1920, 1080, 30), ScreenSize(1280, 720, 30)]


class RecordingPeer:
    """A WebRTC connection that writes down what signalling tells it."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.closed: list[str] = []

    def set_paused(self, paused: bool) -> None:
        self.told.append(("paused", paused))

    def close(self, reason: str) -> None:
        self.closed.append(reason)

    async def set_answer(self, sdp: str, /) -> None:
        if not sdp.startswith("v=0"):
            raise SignalError("the answer is no SDP")
        self.told.append(("answer", sdp))

    async def handle_offer(self, sdp: str, /) -> str:
        self.told.append(("offer", sdp))
        return "v=0 our answer"

    async def restart(self) -> str:
        return "v=0 restarted"

    def add_candidate(self, init: Mapping[str, JsonValue], /) -> None:
        self.told.append(("candidate", dict(init)))

    def set_video(self, request: VideoRequest, /) -> VideoStatus | None:
        self.told.append(("video", request))
        return VideoStatus(disabled=True, id="main", video="main") if request.disabled else None

    def set_audio(self, request: AudioRequest, /) -> AudioStatus | None:
        self.told.append(("audio", request))
        return AudioStatus(disabled=True) if request.disabled else None


class RecordingWebRTC:
    """Makes recording peers."""

    video_ids = ("main",)
    takes = ("audio",)

    def __init__(self, sessions: SessionManager) -> None:
        self.peers: list[RecordingPeer] = []
        self.requests: list[tuple[VideoRequest, AudioRequest]] = []
        self.moves: list[tuple[str, int, int]] = []
        self._sessions = sessions

    async def create_peer(self, session: Session, /, video: VideoRequest, audio: AudioRequest) -> Provide:
        self.requests.append((video, audio))
        self.peers.append(RecordingPeer())
        self._sessions.set_media(session, self.peers[-1])
        return Provide(
            sdp="v=0 offer",
            iceservers=[IceServer(urls=["stun:stun.example"])],
            video=VideoStatus(disabled=bool(video.disabled), id="main", video="main"),
            audio=AudioStatus(disabled=bool(audio.disabled)),
        )

    def cursor_moved(self, session: Session, x: int, y: int, /) -> None:
        self.moves.append((session.id, x, y))


class Client:
    """A client of the room."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.id = ""
        """The id of its session, once a test knows it."""

    async def send(self, event: str, *payload: object) -> None:
        """Send a message; without a payload there is none."""
        message: Message = {"event": event}
        if payload:
            (message["payload"],) = payload
        await self.connection.send(json.dumps(message))

    async def receive(self) -> Message:
        """Return the next message."""
        async with asyncio.timeout(DEADLINE):
            message = json.loads(await self.connection.recv())
        assert isinstance(message, dict)
        return message

    async def receive_all(self, count: int) -> list[str]:
        """Return the events of the next messages."""
        return [(await self.receive())["event"] for _ in range(count)]

    async def until(self, event: str) -> Any:
        """Return the payload of the next message with this event, skipping others."""
        while True:
            message = await self.receive()
            if message["event"] == event:
                return message.get("payload")

    async def barrier(self) -> list[Message]:
        """Return everything that came before all that was sent so far has been handled."""
        await self.send("send/unicast", {"receiver": self.id, "subject": "barrier"})
        messages: list[Message] = []
        while (message := await self.receive())["event"] != "send/unicast":
            messages.append(message)
        return messages

    async def end(self) -> tuple[str | None, int | None]:
        """Return the reason of `system/disconnect` and the close code, skipping what comes before."""
        reason: str | None = None
        # closing with another code than 1000 and 1001 is an error to the library, and what we test
        async with asyncio.timeout(DEADLINE):
            with contextlib.suppress(ConnectionClosedError):
                async for text in self.connection:
                    message = json.loads(text)
                    if message["event"] == "system/disconnect":
                        reason = message["payload"]["message"]
        return reason, self.connection.close_code


class Room:
    """The server with everything a test looks at."""

    def __init__(self, settings: Settings) -> None:
        self.registry = CollectorRegistry()
        self.sessions = SessionManager(settings.session, registry=self.registry)
        self.desktop = RecordingDesktop()
        self.webrtc = RecordingWebRTC(self.sessions)
        self.broadcast = BroadcastStandIn()
        self.manager = WebSocketManager(
            self.sessions, self.desktop, self.webrtc, self.broadcast, settings, self.registry
        )
        self.port = 0
        self.tokens: dict[str, str] = {}
        self.clients = contextlib.AsyncExitStack()

    @property
    def url(self) -> str:
        """Where the endpoint is."""
        return f"ws://127.0.0.1:{self.port}/api/ws"

    def log_in(self, name: str, profile: MemberProfile) -> str:
        """Make a session; return its token."""
        return self.sessions.create(name, profile)[1]

    def session(self, name: str) -> Session:
        """Return the session of this name."""
        session = self.sessions.get(name)
        assert session is not None
        return session

    async def open(self, url: str = "", **options: Any) -> Client:
        """Open a WebSocket without more."""
        connection = await self.clients.enter_async_context(
            connect(url or self.url, open_timeout=DEADLINE, close_timeout=1, **options)
        )
        return Client(connection)

    async def join(self, name: str, profile: MemberProfile) -> Client:
        """Log in (once per name), connect, and skip what a newcomer is told."""
        if self.sessions.get(name) is None:
            self.tokens[name] = self.log_in(name, profile)
        client = await self.open(f"{self.url}?token={self.tokens[name]}")
        client.id = name
        await client.until("session/state")
        return client

    def metric(self, name: str, **labels: str) -> float:
        """Return the value of a metric; 0 before it was counted."""
        return self.registry.get_sample_value(name, labels) or 0.0


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to pytest."""
        yield


@contextlib.asynccontextmanager
async def running_room(settings: Settings | None = None, **uvicorn_options: Any) -> AsyncIterator[Room]:
    """Run a room on a free loopback port, over connections such as our own server has."""
    settings = settings or Settings()
    room = Room(settings)
    app = Starlette(routes=[WebSocketRoute("/api/ws", room.manager.endpoint.__call__)])
    options: dict[str, Any] = {
        "http": BoundedHttp,
        "ws": BoundedWebSocket,
        "ws_per_message_deflate": False,
        "ws_max_size": settings.server.max_message_size,
        "ws_ping_interval": settings.session.ping_interval,
        "ws_ping_timeout": settings.session.ping_timeout,
        **uvicorn_options,
    }
    server = _Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
            **options,
        )
    )
    await room.sessions.start()
    await room.manager.start()
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
        assert not serving.done()
    room.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with room.clients:
            yield room
    finally:
        await room.manager.stop()
        await room.sessions.stop()
        server.should_exit = True
        await serving
