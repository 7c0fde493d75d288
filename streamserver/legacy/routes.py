"""The HTTP routes of version 2: each logs in for one request and out again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from streamserver.legacy.endpoint import LegacyEndpoint
from streamserver.legacy.inner import InnerApi
from streamserver.legacy.to_client import CHAT_SETTING, FILES_SETTING, LOCKS
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session, rfc3339

_FORM_HEADERS = (b"content-type", b"content-length")
_RANGE_HEADERS = (b"range", b"if-range", b"if-none-match", b"if-modified-since")

PASSED_ON = 2**62
"""Bytes of a body that is passed on: the route it is passed on to has a bound of its own."""


class Refused(Exception):  # noqa: N818 - it says what happened
    """The request is refused with this answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LegacyRoutes:
    """`/stats`, `/screenshot.jpg` and `/file`."""

    def __init__(self, endpoint: LegacyEndpoint, sessions: SessionManager, prefix: str) -> None:
        """`endpoint` knows who is banned; `prefix`: `server.path_prefix` without the last slash."""
        self._endpoint = endpoint
        self._sessions = sessions
        self._prefix = prefix

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/stats", self._refusing(self.stats)),
            Route("/screenshot.jpg", self._refusing(self.screenshot)),
            Route(
                "/file",
                self._refusing(self.file),
                methods=["GET", "POST", "DELETE"],
                max_body_size=PASSED_ON,
            ),
        ]

    async def stats(self, request: Request) -> Response:
        """Tell admins who is here."""
        async with self._login(request) as (session, _token, _inner):
            _check_admin(session)
            return JSONResponse(self._stats(session))

    async def screenshot(self, request: Request) -> Response:
        """Show admins the screen."""
        async with self._login(request) as (session, token, inner):
            _check_admin(session)
            query = urlencode({"quality": request.query_params.get("quality") or "90"})
            answer = await inner.call("GET", f"/api/room/screen/shot.jpg?{query}", token=token)
            if answer.status != 200:
                raise Refused(500 if answer.status >= 500 else answer.status, answer.message)
            return Response(answer.content, media_type="image/jpeg")

    async def file(self, request: Request) -> Response:
        """Pass on to the plugin `filetransfer`."""
        return _Forwarded(self, request)

    @asynccontextmanager
    async def _login(self, request: Request) -> AsyncIterator[tuple[Session, str, InnerApi]]:
        if self._endpoint.is_banned(request.client.host if request.client else ""):
            raise Refused(403, "banned ip")
        inner = InnerApi(request.app.state.serve, request.scope, self._prefix)
        query = request.query_params
        credentials: dict[str, Any] = {"username": query.get("usr", ""), "password": query.get("pwd", "")}
        answer = await inner.call("POST", "/api/login", credentials)
        body = answer.json if isinstance(answer.json, dict) else {}
        session = self._sessions.get(str(body.get("id", ""))) if answer.status == 200 else None
        if session is None:
            raise Refused(403, f"error response from backend: {answer.message}")
        try:
            token = str(body.get("token") or "")
            if not token:
                raise Refused(403, "token not found - make sure you are not using Cookie auth on the server")
            yield session, token, inner
        finally:
            if self._sessions.get(session.id) is session:
                self._sessions.delete(session.id)

    def _stats(self, asking: Session) -> dict[str, Any]:
        stats = self._sessions.stats()
        room = self._sessions.room
        others = [one for one in self._sessions.list() if one.is_connected and one is not asking]
        locked = {name: "" for name, setting in LOCKS.items() if getattr(room, setting)}
        if (room.plugins or {}).get(FILES_SETTING) is False:
            locked["file_transfer"] = ""
        return {
            "connections": len(others),
            "host": stats.controller_id or "",
            "members": [
                {
                    "id": one.id,
                    "displayname": one.profile.name,
                    "admin": one.profile.is_admin,
                    "muted": (one.profile.plugins or {}).get(CHAT_SETTING) is False,
                }
                for one in others
            ],
            "banned": None,
            "locked": locked,
            "server_started_at": rfc3339(stats.server_started_at),
            "last_admin_left_at": rfc3339(stats.last_admin_left_at) if stats.last_admin_left_at else None,
            "last_user_left_at": rfc3339(stats.last_user_left_at) if stats.last_user_left_at else None,
            "control_protection": room.control_protection,
            "implicit_control": room.implicit_hosting,
        }

    @staticmethod
    def _refusing(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Response:
            try:
                response: Response = await handler(request)
            except Refused as refusal:
                return PlainTextResponse(f"{refusal}\n", refusal.status)
            return response

        return handle


class _Forwarded(Response):
    """A request that is passed on while the temporary session lasts."""

    def __init__(self, routes: LegacyRoutes, request: Request) -> None:
        self._routes = routes
        self._request = request
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = self._request
        try:
            async with self._routes._login(request) as (_session, token, inner):
                query = urlencode({"filename": request.query_params.get("filename", "")})
                kept = _FORM_HEADERS if request.method == "POST" else _RANGE_HEADERS
                headers = {key: value for key, value in request.scope["headers"] if key.lower() in kept}
                path = f"/api/filetransfer?{query}"
                await inner.forward(request.method, path, receive, send, token=token, headers=headers)
        except Refused as refusal:
            await PlainTextResponse(f"{refusal}\n", refusal.status)(scope, receive, send)


def _check_admin(session: Session) -> None:
    if not session.profile.is_admin:
        raise Refused(401, "bad authorization")
