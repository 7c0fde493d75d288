"""A small room that speaks the page's protocol.

It stands in for the whole server, which needs a display, a browser and sound, so that the page is tested
alone and can be shown what a healthy server never does: silence, refusals, sudden ends. HTTP, WebSocket and
WebRTC are real.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import uvicorn
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack, VideoStreamTrack
from av import AudioFrame
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

WEB = Path(__file__).parents[2] / "streamserver" / "web"
PASSWORD = "neko"
PREFIX = "/rooms/one"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' ws: wss:; media-src 'self' blob:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)

T = TypeVar("T")
Json = dict[str, Any]


class StrictHeaders:
    """Adds the headers the real server sends with every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self.app(scope, receive, with_headers)


def profile(name: str, **changes: bool) -> Json:
    bits = dict.fromkeys(
        ("can_login", "can_connect", "can_watch", "can_host", "can_share_media", "can_access_clipboard"), True
    )
    rest = {
        "is_admin": False,
        "sends_inactive_cursor": False,
        "can_see_inactive_cursors": False,
        "plugins": None,
    }
    return {"name": name, **bits, **rest, **changes}


class LeftTone(MediaStreamTrack):
    """A 440 Hz tone in the left channel alone."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._start = time.monotonic()
        self._samples = 0

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(max(0.0, self._start + self._samples / 48000 - time.monotonic()))
        times = (np.arange(960) + self._samples) / 48000
        sound = np.zeros((1, 1920), dtype=np.int16)
        sound[0, ::2] = 12000 * np.sin(2 * np.pi * 440 * times)
        frame = AudioFrame.from_ndarray(sound, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, self._samples, Fraction(1, 48000)
        self._samples += 960
        return frame


class NothingToShow(VideoStreamTrack):
    """A video track without a single frame."""

    async def recv(self) -> Any:
        return await asyncio.Event().wait()


class RoomServer:
    """Runs in a thread of its own; `call` runs a coroutine on its loop."""

    def __init__(self) -> None:
        self.sessions: dict[str, Json] = {}
        self.tokens: dict[str, str] = {}
        self.sockets: dict[str, WebSocket] = {}
        self.peers: dict[str, RTCPeerConnection] = {}
        self.channels: dict[str, RTCDataChannel] = {}
        self.controller: str | None = None
        self.settings: Json = {
            "private_mode": False,
            "locked_logins": False,
            "locked_controls": False,
            "control_protection": False,
            "implicit_hosting": False,
            "inactive_cursors": False,
            "merciful_reconnect": True,
            "heartbeat_interval": 10,
            "plugins": None,
        }
        self.evidence: Json | None = {
            "summary": "Awake: 1 session is connected.",
            "holds": [],
            "last_write": None,
            "last_error": None,
        }
        """What admins are told about the gate; None: there is no gate."""
        self.evidence_asked = 0
        self.media: Json = {
            "video": "720p",
            "paused": False,
            "bitrate": 2_500_000,
            "fraction_lost": 0.012,
            "round_trip": 0.043,
        }
        self.health_asked = 0
        self.files: Json | None = None
        """What `filetransfer/update` tells; None: there is no file transfer."""
        self.chat = True
        self.videos = ["main"]
        self.quality: Json = {"disabled": False, "id": "main", "video": "main", "auto": True}
        self.drops = True
        """Whether files can be dropped into the shared browser."""
        self.uploads: list[tuple[str, dict[str, str], list[tuple[str, bytes]]]] = []
        """Forms that came: path, fields, files."""
        self.bodies: list[tuple[str, Any]] = []
        """Bodies of other requests: method and path, JSON."""
        self.login_answer: tuple[int, Json, dict[str, str]] | None = None
        self.accepting = True
        self.giving_media = True
        self.showing = True
        self.heard: list[Json] = []
        self.input: list[bytes] = []
        self.order: list[str] = []
        """What came by either way and was done, in order."""
        self.delay = 0.0
        """Seconds that a ping and a paste take."""
        self.posts: list[str] = []
        self.closed: list[int] = []
        self._loop = asyncio.new_event_loop()
        self._server = uvicorn.Server(
            uvicorn.Config(self._app(), port=0, log_level="error", ws="websockets-sansio", lifespan="off")
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        while not (self._server.started and self._server.servers):
            if not self._thread.is_alive():
                raise RuntimeError("the room server did not start")
            threading.Event().wait(0.01)

    def stop(self) -> None:
        self.call(self._close_peers())
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=10)

    @property
    def origin(self) -> str:
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    @property
    def url(self) -> str:
        return f"{self.origin}{PREFIX}/"

    def call(self, action: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(timeout=10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.serve())

    async def _close_peers(self) -> None:
        for peer in list(self.peers.values()):
            await peer.close()

    def tell(self, session: str, event: str, payload: object = None) -> None:
        self.call(self._send(session, event, payload))

    def tell_all(self, event: str, payload: object) -> None:
        for session in list(self.sockets):
            self.tell(session, event, payload)

    def tell_by_channel(self, session: str, message: bytes) -> None:
        async def act() -> None:
            self.channels[session].send(message)

        self.call(act())

    def drop(self, session: str, code: int = 1011) -> None:
        self.call(self.sockets[session].close(code))

    def dismiss(self, session: str, reason: str) -> None:
        self.tell(session, "system/disconnect", {"message": reason})

    def add_person(self, name: str, **changes: bool) -> str:
        """Somebody else, without a browser."""
        session = f"{name}-other"
        state = {"is_connected": True, "is_watching": True}
        self.sessions[session] = {"id": session, "profile": profile(name, **changes), "state": state}
        self.tell_all("session/created", self.sessions[session])
        return session

    def set_controller(self, session: str | None, actor: str = "") -> None:
        self.call(self._set_controller(session, actor))

    def update_settings(self, **changes: object) -> None:
        self.settings.update(changes)
        self.tell_all("system/settings", {"id": "", **self.settings})

    def said(self, event: str) -> list[Json]:
        return [message for message in list(self.heard) if message["event"] == event]

    def _app(self) -> Starlette:
        routes: list[BaseRoute] = [
            Route("/api/login", self._login, methods=["POST"]),
            Route("/api/logout", self._logout, methods=["POST"]),
            Route("/api/whoami", self._whoami),
            Route("/api/health", self._health),
            Route("/api/scaletozero", self._evidence),
            Route("/api/room/settings", self._settings, methods=["POST"]),
            Route("/api/members/{member}", self._member, methods=["POST"]),
            Route("/api/sessions/{session}/media", self._media),
            Route("/api/sessions/{rest:path}", self._administer, methods=["POST", "DELETE"]),
            Route("/api/room/broadcast/{action}", self._broadcast, methods=["POST"]),
            Route("/api/room/clipboard", self._administer, methods=["POST"]),
            Route("/api/room/upload/{what}", self._upload, methods=["POST"]),
            Route("/api/filetransfer", self._upload, methods=["POST"]),
            Route("/api/filetransfer", self._administer, methods=["DELETE"]),
            Route("/api/room/control/{action:path}", self._control, methods=["POST"]),
            WebSocketRoute("/api/ws", self._socket),
            Mount("/", StaticFiles(directory=WEB, html=True)),
        ]
        return Starlette(routes=[Mount(PREFIX, routes=routes)], middleware=[Middleware(StrictHeaders)])

    async def _login(self, request: Request) -> Response:
        body = await request.json()
        if self.login_answer is not None:
            status, answer, headers = self.login_answer
            return JSONResponse(answer, status, headers)
        if body["password"] != PASSWORD or body["cookie"] is not True:
            return JSONResponse({"code": 401, "message": "Unauthorized"}, 401)
        session = f"{body['username']}-{len(self.sessions)}"
        token = f"token-{session}"
        state = {"is_connected": False, "is_watching": False}
        is_admin = body["username"].startswith("admin")
        self.sessions[session] = {
            "id": session,
            "profile": profile(body["username"], is_admin=is_admin),
            "state": state,
        }
        self.tokens[token] = session
        response = JSONResponse(self.sessions[session])
        response.set_cookie("NEKO_SESSION", token, httponly=True, samesite="strict", path=PREFIX)
        return response

    def _who(self, connection: Request | WebSocket) -> str | None:
        session = self.tokens.get(connection.cookies.get("NEKO_SESSION", ""))
        return session if session in self.sessions else None

    async def _whoami(self, request: Request) -> Response:
        session = self._who(request)
        if session is None:
            return JSONResponse({"code": 401, "message": "Unauthorized"}, 401)
        return JSONResponse(self.sessions[session])

    async def _evidence(self, request: Request) -> Response:
        session = self._who(request)
        assert session is not None
        assert self.sessions[session]["profile"]["is_admin"], "only an admin's page asks"
        self.evidence_asked += 1
        return JSONResponse(self.evidence, 404 if self.evidence is None else 200)

    async def _media(self, request: Request) -> Response:
        session = self._who(request)
        assert session is not None
        assert self.sessions[session]["profile"]["is_admin"], "only an admin's page asks"
        return JSONResponse(self.media)

    async def _health(self, request: Request) -> Response:
        session = self._who(request)
        self.health_asked += 1
        if session is None or not self.sessions[session]["profile"]["is_admin"]:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "ok", "parts": {} if self.evidence is None else {"scaletozero": {}}})

    async def _settings(self, request: Request) -> Response:
        changes = dict(await self._noted(request))
        plugins = changes.pop("plugins", None)
        if plugins is not None:
            self.settings["plugins"] = {**(self.settings["plugins"] or {}), **plugins}
        self.settings.update(changes)
        for other in list(self.sockets):
            await self._send(other, "system/settings", {"id": "", **self.settings})
        return Response(status_code=204)

    async def _broadcast(self, request: Request) -> Response:
        body = await self._noted(request)
        status = {"is_active": body is not None, "url": "rtmp://a/b"}
        for other in list(self.sockets):
            await self._send(other, "broadcast/status", status)
        return Response(status_code=204)

    async def _member(self, request: Request) -> Response:
        changes = await self._noted(request)
        member = request.path_params["member"]
        self.sessions[member]["profile"].update(changes)
        for other in list(self.sockets):
            await self._send(other, "session/profile", {"id": member, **self.sessions[member]["profile"]})
        return Response(status_code=204)

    async def _administer(self, request: Request) -> Response:
        await self._noted(request)
        return Response(status_code=204)

    async def _noted(self, request: Request) -> Any:
        path = request.url.path.removeprefix(f"{PREFIX}/api/")
        query = f"?{request.url.query}" if request.url.query else ""
        body = await request.body()
        self.bodies.append((f"{request.method} {path}{query}", json.loads(body) if body else None))
        return self.bodies[-1][1]

    async def _upload(self, request: Request) -> Response:
        path = request.url.path.removeprefix(f"{PREFIX}/api/")
        if path.endswith("drop") and not self.drops:
            return JSONResponse({"code": 400, "message": "upload drop is disabled"}, 400)
        form = await request.form()
        fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        files = [
            (value.filename or "", await value.read())
            for _, value in form.multi_items()
            if not isinstance(value, str)
        ]
        self.uploads.append((path, fields, files))
        return Response()

    async def _logout(self, request: Request) -> Response:
        session = self._who(request)
        self.posts.append("logout")
        if session is not None:
            del self.sessions[session]
        response = JSONResponse(True)
        response.delete_cookie("NEKO_SESSION", path=PREFIX)
        return response

    async def _control(self, request: Request) -> Response:
        actor = self._who(request)
        action = request.path_params["action"]
        self.posts.append(f"control/{action}")
        if action == "take":
            await self._set_controller(actor, actor or "")
        elif action == "reset":
            await self._set_controller(None, actor or "")
        elif action.startswith("give/"):
            await self._set_controller(action.removeprefix("give/"), actor or "")
        return Response(status_code=204)

    async def _socket(self, socket: WebSocket) -> None:
        if not self.accepting:
            await socket.close(1011)
            return
        await socket.accept()
        session = self._who(socket)
        if session is None:
            await socket.send_json(
                {"event": "system/disconnect", "payload": {"message": "session not found"}}
            )
            await socket.close()
            return
        before, self.sockets[session] = self.sockets.get(session), socket
        await self._state(session, is_connected=True)
        await self._send(session, "system/init", self._init(session))
        if self.sessions[session]["profile"]["is_admin"]:
            sizes = [{"width": 1920, "height": 1080, "rate": 30}, {"width": 1280, "height": 720, "rate": 30}]
            status = {"is_active": False}
            told = {"screen_sizes_list": sizes, "broadcast_status": status}
            await self._send(session, "system/admin", told)
        await self._send(session, "chat/init", {"enabled": self.chat})
        if self.files is not None:
            await self._send(session, "filetransfer/update", self.files)
        if before is not None:
            await before.send_json(
                {"event": "system/disconnect", "payload": {"message": "connection replaced"}}
            )
            await before.close()
        try:
            while True:
                message = json.loads(await socket.receive_text())
                self.heard.append({**message, "session": session})
                await self._hear(session, message["event"], message.get("payload"))
        except WebSocketDisconnect as end:
            self.closed.append(end.code)
        finally:
            if self.sockets.get(session) is socket:
                del self.sockets[session]

    def _init(self, session: str) -> Json:
        return {
            "session_id": session,
            "control_host": self._host(""),
            "screen_size": {"width": 1280, "height": 720, "rate": 30},
            "sessions": self.sessions,
            "settings": self.settings,
            "touch_events": False,
            "screencast_enabled": False,
            "webrtc": {"videos": self.videos},
        }

    def _host(self, actor: str) -> Json:
        host: Json = {"id": actor, "has_host": self.controller is not None}
        return host | ({"host_id": self.controller} if self.controller else {})

    async def _send(self, session: str, event: str, payload: object = None) -> None:
        socket = self.sockets.get(session)
        if socket is not None:
            await socket.send_json({"event": event, "payload": payload})

    async def _state(self, session: str, **changes: bool) -> None:
        if session not in self.sessions:
            return
        self.sessions[session]["state"].update(changes)
        for other in list(self.sockets):
            if other != session or "is_watching" in changes:
                await self._send(other, "session/state", {"id": session, **self.sessions[session]["state"]})

    async def _set_controller(self, session: str | None, actor: str) -> None:
        self.controller = session
        for other in list(self.sockets):
            await self._send(other, "control/host", self._host(actor))

    async def _hear(self, session: str, event: str, payload: Any) -> None:
        handlers: dict[str, Callable[[str, Any], Coroutine[Any, Any, None]]] = {
            "signal/request": self._provide,
            "signal/answer": self._answered,
            "control/request": self._requested,
            "control/release": self._released,
            "chat/message": self._said,
            "signal/video": self._video,
            "control/paste": self._pasted,
            "send/unicast": self._unicast,
        }
        handler = handlers.get(event)
        if handler is not None:
            await handler(session, payload)

    async def _requested(self, session: str, _: Any) -> None:
        if self.controller is None or self.settings["implicit_hosting"]:
            await self._set_controller(session, session)
        else:
            await self._send(self.controller, "control/request", {"id": session})

    async def _released(self, session: str, _: Any) -> None:
        await self._set_controller(None, session)

    async def _said(self, session: str, payload: Any) -> None:
        message = {"id": session, "created": "2026-01-02T03:04:05Z", "content": {"text": payload["text"]}}
        for other in list(self.sockets):
            await self._send(other, "chat/message", message)

    async def _pasted(self, session: str, _: Any) -> None:
        self.order.append("paste")
        await self._wait()
        self.order.append("pasted")

    async def _wait(self) -> None:
        began = time.monotonic()
        while time.monotonic() - began < self.delay:
            await asyncio.sleep(0.02)

    async def _unicast(self, session: str, payload: Any) -> None:
        if payload["receiver"] in self.sockets:
            await self._send(payload["receiver"], "send/unicast", {"sender": session, **payload})

    async def _take_input(self, channel: RTCDataChannel, message: bytes) -> None:
        """Write input down; answer a ping after a while, as a distant server would."""
        self.input.append(message)
        self.order.append({3: "key", 7: "ping"}.get(message[0], ""))
        if message[0] == 7:
            await self._wait()
            self.order.append("pong")
            channel.send(b"\x03\x00\x13" + message[3:] + message[3:])

    async def _video(self, session: str, payload: Any) -> None:
        chosen = payload.get("selector", {}).get("id", self.videos[0])
        self.quality = {"disabled": False, "id": chosen, "video": chosen, "auto": payload["auto"]}
        await self._send(session, "signal/video", self.quality)

    async def _provide(self, session: str, _: Any) -> None:
        if not self.giving_media:
            return
        before = self.peers.pop(session, None)
        if before is not None:
            await before.close()
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peers[session] = peer
        peer.addTrack(LeftTone())
        peer.addTrack(VideoStreamTrack() if self.showing else NothingToShow())
        channel = peer.createDataChannel("data")
        channel.on("message", lambda message: self._take_input(channel, message))
        channel.on("open", lambda: self.channels.__setitem__(session, channel))

        async def changed() -> None:
            if self.peers.get(session) is peer:
                await self._state(session, is_watching=peer.connectionState == "connected")

        peer.on("connectionstatechange", changed)
        await peer.setLocalDescription(await peer.createOffer())
        provide = {"sdp": peer.localDescription.sdp, "iceservers": [], "video": self.quality, "audio": {}}
        await self._send(session, "signal/provide", provide)

    async def _answered(self, session: str, payload: Any) -> None:
        await self.peers[session].setRemoteDescription(
            RTCSessionDescription(sdp=payload["sdp"], type="answer")
        )
