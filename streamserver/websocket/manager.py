"""The WebSocket room as a whole: what the composition root builds and plugins see."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from streamserver.config.settings import Settings
from streamserver.config.types import ScreenSize
from streamserver.logs import get_logger
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session
from streamserver.websocket.broadcast import Broadcaster
from streamserver.websocket.client import Client, Room
from streamserver.websocket.endpoint import WebSocketEndpoint
from streamserver.websocket.handlers import make_table
from streamserver.websocket.inactive_cursors import InactiveCursors
from streamserver.websocket.messages import ClientMessage, Payload
from streamserver.websocket.metrics import WebSocketMetrics
from streamserver.websocket.ports import BroadcastPort, DesktopPort, WebRTCPort
from streamserver.websocket.screen import ScreenChanger

log = get_logger("websocket")

HEARTBEAT_INTERVAL = 10.0
"""Seconds between two `system/heartbeat`; neko's clients take 12.5 s of silence for a lost connection."""

PluginHandler = Callable[[Session, str, Payload], bool]
"""Offered an event the server does not know, with its payload (`ABSENT`: there is none); returns whether it
took it. Runs on the event loop and must not block."""


class WebSocketManager:
    """Speaks neko's v3 protocol with every client; `endpoint` goes to `/api/ws`."""

    def __init__(
        self,
        sessions: SessionManager,
        desktop: DesktopPort,
        webrtc: WebRTCPort,
        broadcast: BroadcastPort,
        settings: Settings,
        registry: CollectorRegistry,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is listened to before `start`."""
        self._metrics = WebSocketMetrics(registry)
        self._room = Room(sessions, desktop, webrtc, clock)
        self._screen = ScreenChanger(sessions, desktop)
        self._broadcaster = Broadcaster(
            sessions, desktop, webrtc, broadcast, screencast=settings.capture.screencast.enabled
        )
        self._cursors = InactiveCursors(sessions)
        self._table = make_table(self._screen)
        self._plugin_handlers: list[PluginHandler] = []
        self._heart: asyncio.Task[None] | None = None
        self._forget_screen: Callable[[], None] | None = None
        self.endpoint = WebSocketEndpoint(sessions, settings, self._metrics, self._dispatch, clock)

    async def start(self) -> None:
        """Begin to tell clients what happens."""
        self._broadcaster.attach()
        self._cursors.start()
        self._forget_screen = self._room.desktop.on_screen_changed.subscribe(self._screen.changed)
        self._heart = asyncio.create_task(self._beat(), name="websocket heartbeat")

    async def stop(self) -> None:
        """Tell nobody anything any more; sockets are the sessions' to close."""
        if self._heart is not None:
            self._heart.cancel()
            await asyncio.wait({self._heart})
            self._heart = None
        await self._cursors.stop()
        if self._forget_screen is not None:
            self._forget_screen()
            self._forget_screen = None
        self._broadcaster.detach()

    def add_handler(self, handler: PluginHandler) -> Callable[[], None]:
        """Offer unknown events to `handler`, after earlier ones; the returned function ends that."""
        self._plugin_handlers.append(handler)

        def remove() -> None:
            if handler in self._plugin_handlers:
                self._plugin_handlers.remove(handler)

        return remove

    async def set_screen(self, actor: Session, size: ScreenSize) -> ScreenSize:
        """Change the screen's size and tell everybody that `actor` did; return what it became.

        Raises `DesktopError` or ValueError when the size is refused.
        """
        return await self._screen.set_screen(actor, size)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL)
            self._room.sessions.broadcast("system/heartbeat")

    async def _dispatch(self, client: Client, message: ClientMessage) -> None:
        """Handle one message. Raises `BadMessage`."""
        handler = self._table.get(message.event)
        if handler is not None:
            await handler(self._room, client, message.payload)
            return
        for plugin_handler in tuple(self._plugin_handlers):
            try:
                if plugin_handler(client.session, message.event, message.payload):
                    return
            except Exception:
                log.exception("plugin handler failed", event_name=message.event)
        client.note("unknown event", event_name=message.event[:64])
