"""A server as people meet it: real sockets, sessions, members and WebSocket room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import httpx
from prometheus_client import CollectorRegistry

from streamserver.api.app import ApiContext, ApiManager, build_app
from streamserver.api.server import HttpServer
from streamserver.capture.broadcast import Broadcast
from streamserver.capture.stills import Stills
from streamserver.config import Settings
from streamserver.desktop.desktop import Desktop
from streamserver.legacy import make_routes
from streamserver.members.choice import make_provider
from streamserver.members.profile import MemberProfile
from streamserver.plugins.health import HealthRegistry
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session
from streamserver.webrtc.egress import Egress
from streamserver.webrtc.fan_out import FanOut
from streamserver.webrtc.full_ice import FullConnection
from streamserver.websocket.manager import WebSocketManager
from tests.api.stand_in import DesktopStandIn, Watched, WebRTCStandIn
from tests.stand_ins import BroadcastStandIn, StillsStandIn
from tests.webrtc.room import CaptureStandIn, HandStream

API_TOKEN = "api-token-of-the-test"


@dataclass
class Running:
    """The parts of one running server."""

    http: HttpServer
    api: ApiManager
    context: ApiContext
    desktop: DesktopStandIn
    stills: StillsStandIn
    scheme: str = "http"

    @property
    def sessions(self) -> SessionManager:
        return self.context.sessions

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.http.port}"

    def client(self, token: str | None = None, **options: object) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=10, verify=False, **options)  # type: ignore[arg-type]

    def log_in(self, name: str, *, admin: bool = False, **rights: object) -> tuple[Session, str]:
        """Make a session without going through the login; rights are those of a usual member."""
        usual = dict.fromkeys(("can_login", "can_connect", "can_watch", "can_host"), True)
        profile = MemberProfile.model_validate({"name": name, "is_admin": admin, **usual, **rights})
        return self.sessions.create(name, profile)

    async def connect(self, session: Session) -> Watched:
        """Give the session a WebSocket that records."""
        socket = Watched()
        await self.sessions.connect(session, socket)
        socket.sent.clear()
        return socket


@asynccontextmanager
async def running(
    sections: Mapping[str, Mapping[str, object]] | None = None, *, scheme: str = "http"
) -> AsyncIterator[Running]:
    """Run a server on a free loopback port with these settings on top of the defaults."""
    given = {name: dict(values) for name, values in (sections or {}).items()}
    server = {"bind": "127.0.0.1:0", **given.pop("server", {})}
    session = {"api_token": API_TOKEN, **given.pop("session", {})}
    settings = Settings.model_validate({"server": server, "session": session, **given})
    registry = CollectorRegistry()
    desktop = DesktopStandIn()
    stills = StillsStandIn()
    broadcast = BroadcastStandIn()
    egress = Egress(CaptureStandIn({"main": HandStream()}, None), FanOut(), FullConnection)
    sessions = SessionManager(settings.session, registry=registry)
    websocket = WebSocketManager(sessions, desktop, WebRTCStandIn(), broadcast, settings, registry)
    context = ApiContext(
        settings=settings,
        sessions=sessions,
        members=make_provider(settings.member),
        desktop=cast("Desktop", desktop),
        websocket=websocket,
        plugins=None,
        registry=registry,
        health=HealthRegistry(),
        stills=cast("Stills", stills),
        broadcast=cast("Broadcast", broadcast),
        egress=egress,
    )
    api = build_app(context)
    api.add_routes(make_routes(websocket, sessions, settings.server.path_prefix, file_transfer=True))
    http = HttpServer(api.asgi, settings.server, settings.session)
    await sessions.start()
    await websocket.start()
    await http.start()
    try:
        yield Running(http, api, context, desktop, stills, scheme)
    finally:
        await websocket.stop()
        await sessions.stop()
        await http.stop()
        await egress.stop()
