"""ASGI layers between the listener and the routes: path prefix, security headers, body deadline."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamserver.api.errors import ApiError, body_too_large, error_response, not_found

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self' ws: wss:",
        "media-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""What every answer carries unless its handler says otherwise."""


class SecurityHeaders:
    """Adds `SECURITY_HEADERS` to every HTTP answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


class PathPrefix:
    """Serves the application under `server.path_prefix`; anything else is not found."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        """`prefix` begins with a slash and does not end with one."""
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        path: str = scope["path"]
        if path.startswith(self._prefix + "/"):
            inner = path[len(self._prefix) :]
            scope["path"] = inner
            scope["raw_path"] = scope.get("raw_path", path.encode())[len(self._prefix) :]
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        elif path == self._prefix and scope["method"] in ("GET", "HEAD"):
            await RedirectResponse(self._prefix + "/", 308)(scope, receive, send)
        else:
            await not_found()(scope, receive, send)


SLOWEST_BODY = 16 * 1024
"""Bytes per second below which an upload is ended, after the time every request has."""


class BodyDeadline:
    """Ends requests whose body does not arrive: `timeout` seconds, and one more for each 16 KiB that came."""

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self._app = app
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        deadline, complete = loop.time() + self._timeout, False

        async def receive_in_time() -> Message:
            nonlocal deadline, complete
            if complete:  # now it waits for the client to go away, which may take as long as the answer does
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise ApiError(
                    408, "the request's body did not arrive in time", {"connection": "close"}
                ) from None
            deadline += len(message.get("body", b"")) / SLOWEST_BODY
            complete = not message.get("more_body", False)
            return message

        await self._app(scope, receive_in_time, send)


class ErrorShape:
    """Gives a refusal that the framework writes as plain text (a body too large) the form of all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        replaced = False

        async def reshape(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] == 413:
                kind = Headers(raw=message["headers"]).get("content-type", "")
                replaced = not kind.startswith("application/json")
                if replaced:
                    await body_too_large()(scope, receive, send)
            if not replaced:
                await send(message)

        await self._app(scope, receive, reshape)


class HeadLimit:
    """Refuses a request whose head is too large.

    The parser's own limit holds only for heads that come in several pieces.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        """`limit` is in bytes."""
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        size = len(scope.get("raw_path", b"")) + len(scope["query_string"])
        size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if size <= self._limit:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            message = "the request's head is too large; see server.max_header_size"
            await error_response(431, message, {"connection": "close"})(scope, receive, send)
