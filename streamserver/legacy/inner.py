"""Requests of version 3 on behalf of a version 2 client, without a socket in between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from pydantic import JsonValue
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 16 * 1024 * 1024
"""Bytes of an answer that is kept in memory."""

_KEPT_HEADERS = (b"host", b"user-agent", b"x-forwarded-for", b"x-real-ip", b"x-forwarded-proto")
_KEPT_KEYS = ("asgi", "client", "server", "app")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    content: bytes

    @property
    def json(self) -> JsonValue:
        """The content, if it is JSON; None otherwise."""
        try:
            value: JsonValue = json.loads(self.content)
        except ValueError:
            return None
        return value

    @property
    def message(self) -> str:
        """What an error says."""
        body = self.json
        return str(body.get("message", "")) if isinstance(body, dict) else ""


class InnerApi:
    """Calls the server's own routes: the same guards, words, bounds and holds as from outside."""

    def __init__(self, serve: ASGIApp, outer: Scope, prefix: str) -> None:
        """`outer`: the connection on whose behalf; `prefix`: `server.path_prefix` without the last slash."""
        self._serve = serve
        self._outer = outer
        self._prefix = prefix

    async def call(self, method: str, path: str, body: JsonValue = None, *, token: str = "") -> Answer:
        """Make a request; return the whole answer."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        passed = False
        status, received = 500, bytearray()

        async def receive() -> Message:
            nonlocal passed
            if passed:
                return {"type": "http.disconnect"}
            passed = True
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif len(received) < LARGEST:
                received.extend(message.get("body", b""))

        await self._serve(self._scope(method, path, token, headers), receive, send)
        return Answer(status, bytes(received))

    async def forward(
        self,
        method: str,
        path: str,
        receive: Receive,
        send: Send,
        *,
        token: str,
        headers: Mapping[bytes, bytes],
    ) -> None:
        """Pass a request on as it comes, and its answer as it goes."""
        await self._serve(self._scope(method, path, token, list(headers.items())), receive, send)

    def _scope(self, method: str, path: str, token: str, headers: list[tuple[bytes, bytes]]) -> Scope:
        raw_path, _, query = path.partition("?")
        kept = [header for header in self._outer["headers"] if header[0].lower() in _KEPT_HEADERS]
        if token:
            kept.append((b"authorization", b"Bearer " + token.encode()))
        scope: Scope = {key: self._outer[key] for key in _KEPT_KEYS if key in self._outer}
        scope.update(
            {
                "type": "http",
                "http_version": "1.1",
                "scheme": "https" if self._outer.get("scheme") in ("https", "wss") else "http",
                "method": method,
                "path": self._prefix + unquote(raw_path),
                "raw_path": (self._prefix + raw_path).encode(),
                "root_path": "",
                "query_string": query.encode(),
                "headers": kept + headers,
                "state": {},
            }
        )
        return scope
