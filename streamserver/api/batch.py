"""Several requests in one: `/api/batch`."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Annotated
from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, JsonValue
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Scope

from streamserver.api.access import AnswerAbandoned
from streamserver.api.context import Context
from streamserver.api.errors import ErrorMessage, describes
from streamserver.api.json_body import JsonRoute

router = APIRouter(prefix="/api", tags=["general"], route_class=JsonRoute)

MOST_ITEMS = 256
"""Requests in one batch."""

LARGEST_ANSWERS = 8 * 1024 * 1024
"""Bytes of the bodies of all answers together: they are held in memory."""

EXCLUDED = ("/api/batch", "/api/ws")
"""What cannot be asked in a batch: another batch, and the WebSocket."""

_OF_THE_OUTER_BODY = frozenset(
    {
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers that belong to the batch's own body or connection; all others count for each request in it."""

_OF_THE_CONNECTION = (
    "asgi",
    "client",
    "extensions",
    "http_version",
    "root_path",
    "scheme",
    "server",
    "state",
)


class BatchRequest(BaseModel):
    """One request of a batch."""

    path: str
    """Path with query, from `/api` on; `server.path_prefix` may stand before it."""
    method: str = "GET"
    """HTTP method."""
    body: JsonValue = None
    """JSON body; absent or null: none."""


class BatchResponse(BaseModel):
    """The answer to one request of a batch."""

    path: str
    """The request's path again."""
    method: str
    """The request's method again."""
    body: JsonValue = None
    """The answer: JSON as it is, text as a string, anything else in base64; absent when it is empty."""
    encoding: str | None = None
    """Ours: `base64` where `body` is that; absent otherwise."""
    status: int
    """HTTP status."""


@router.post(
    "/batch",
    operation_id="batch",
    response_model_exclude_unset=True,
    responses=describes(_400="The body is absent, or is no list of requests, or of too many."),
)
async def batch(
    requests: Annotated[list[BatchRequest], Body(max_length=MOST_ITEMS)], request: Request, context: Context
) -> list[BatchResponse]:
    """Make several requests, one after the other, each with the headers of the whole.

    Each is authenticated and answered by itself: the whole is 200. A token in the address of the whole does
    not count for them.
    """
    server: ASGIApp = request.app.state.serve
    prefix = context.settings.server.path_prefix.rstrip("/")
    room_left = LARGEST_ANSWERS
    answers = []
    for item in requests:
        inner = _inside(item.path, prefix)
        if (refusal := _refusal(inner)) is not None:
            answers.append(_error(item, 400, refusal))
            continue
        exchange = _Exchange(request, item, prefix + inner, room_left)
        await server(exchange.scope, exchange.receive, exchange.send)
        if exchange.size > room_left:
            answers.append(_error(item, 413, "the answer is too large for a batch"))
            continue
        answers.append(exchange.answer())
        room_left -= exchange.size
        await asyncio.sleep(0)  # handlers may never have waited for anything, and others want their turn
    return answers


def _inside(path: str, prefix: str) -> str:
    """Return the path below `prefix`; clients name it with the prefix, as anywhere, or without."""
    return path[len(prefix) :] if prefix and path.startswith(f"{prefix}/api") else path


def _refusal(path: str) -> str | None:
    """Return why this path is not for batches, in neko's words."""
    plain = _decoded(path.partition("?")[0])
    if plain != "/api" and not plain.startswith("/api/"):
        return "this path is not allowed in batch requests"
    if any(plain == excluded or plain.startswith(f"{excluded}/") for excluded in EXCLUDED):
        return "this path is excluded from batch requests"
    return None


def _decoded(path: str) -> str:
    return unquote_to_bytes(path.encode("utf-8", "replace")).decode("utf-8", "replace")


def _error(item: BatchRequest, status: int, message: str) -> BatchResponse:
    body = ErrorMessage(code=status, message=message).model_dump()
    return BatchResponse(path=item.path, method=item.method, body=body, status=status)


class _Exchange:
    """One request of a batch, as an ASGI server would pass it on."""

    def __init__(self, outer: Request, item: BatchRequest, path: str, largest: int) -> None:
        self._outer = outer
        self._item = item
        self._body = b"" if item.body is None else json.dumps(item.body).encode()
        self._passed = False
        self._largest = largest
        self._status = 500
        self._headers = Headers(raw=[])
        self._content = bytearray()
        raw_path, _, query = path.partition("?")
        headers = [header for header in outer.scope["headers"] if header[0].lower() not in _OF_THE_OUTER_BODY]
        headers.append((b"content-length", str(len(self._body)).encode()))
        headers.append((b"content-type", b"application/json"))
        self.scope: Scope = {key: outer.scope[key] for key in _OF_THE_CONNECTION if key in outer.scope}
        self.scope |= {
            "type": "http",
            "method": item.method,
            "path": _decoded(raw_path),
            "raw_path": raw_path.encode("utf-8", "replace"),
            "query_string": query.encode("utf-8", "replace"),
            "headers": headers,
        }
        self.scope["state"] = dict(self.scope.get("state") or {})

    @property
    def size(self) -> int:
        """Bytes of the answer's body."""
        return len(self._content)

    async def receive(self) -> Message:
        """Give the body, then what happens to the connection of the batch."""
        if self._passed:
            return await self._outer.receive()
        self._passed = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = Headers(raw=list(message.get("headers", ())))
        elif message["type"] == "http.response.body":
            self._content += message.get("body", b"")
            if len(self._content) > self._largest:
                raise AnswerAbandoned

    def answer(self) -> BatchResponse:
        """Return the answer."""
        answer = BatchResponse(path=self._item.path, method=self._item.method, status=self._status)
        if not self._content:
            return answer
        kind = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        content = bytes(self._content)
        try:
            if kind == "application/json":
                return answer.model_copy(update={"body": json.loads(content)})
            if kind.startswith("text/"):
                return answer.model_copy(update={"body": content.decode("utf-8")})
        except ValueError:  # it is not what it says: like anything else
            pass
        encoded = base64.b64encode(content).decode("ascii")
        return answer.model_copy(update={"body": encoded, "encoding": "base64"})
