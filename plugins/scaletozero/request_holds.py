"""Requests hold the machine awake: from before the handler runs until the answer has left the socket."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Collection
from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plugins.scaletozero.commands import GateWriteError
from plugins.scaletozero.drained import Drain, Output, SendQueue
from plugins.scaletozero.gate_controller import GateController
from plugins.scaletozero.holds import HoldKey, HoldKind
from plugins.scaletozero.loopback import is_loopback
from streamserver.logs import get_logger
from streamserver.plugins.client_connection import ClientConnection, connection_of

log = get_logger("scaletozero")

OWN_ROUTES = ("/scaletozero", "/api/scaletozero")
"""Pin and leases are holds themselves; a request for one takes none of its own."""
REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
"""Who gets one of these is not served, and keeps nothing awake any longer."""
FAILED = {"code": 500, "message": "failed to disable scale-to-zero"}

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PLAIN = re.compile(r"[A-Za-z0-9._-]{1,24}")
LABELLED_SEGMENTS = 2


class HoldRequests:
    """ASGI middleware: nothing behind it runs for a remote caller unless the machine is held awake."""

    def __init__(self, app: ASGIApp, holds: RequestHolds) -> None:
        self._app = app
        self._holds = holds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one WebSocket from its handshake to its end."""
        if not self._holds.concerned(scope):
            await self._app(scope, receive, send)
            return
        try:
            hold = await self._holds.take(scope)
        except GateWriteError as error:
            log.debug("request refused", label=label_of(scope), error=str(error))
            await _refuse(scope, receive, send)
            return

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in REFUSALS:
                hold.end()
            await send(message)

        try:
            await self._app(scope, receive, watch if scope["type"] == "http" else send)
        finally:
            hold.end_when_sent()


class RequestHolds:
    """The holds of all requests: one for each HTTP connection that has something to answer, one for each
    WebSocket. On the event loop only."""

    def __init__(
        self, controller: GateController, *, ignore_paths: Collection[str], response_drain: float
    ) -> None:
        """Begin with none.

        Args:
            controller: the gate.
            ignore_paths: requests for these never hold.
            response_drain: seconds an answer may take to leave after its handler has ended.
        """
        self._controller = controller
        self._ignored = frozenset(ignore_paths)
        self._response_drain = response_drain
        self._connections: dict[ClientConnection, _ConnectionHold] = {}
        self._numbers = itertools.count(1)
        self._closed = False

    def concerned(self, scope: Scope) -> bool:
        """Return whether a request holds."""
        if self._closed or scope["type"] not in ("http", "websocket"):
            return False
        path: str = scope["path"]
        if path in self._ignored or any(path == own or path.startswith(own + "/") for own in OWN_ROUTES):
            return False
        return not _is_local(scope)

    async def take(self, scope: Scope) -> RequestHold:
        """Hold the machine awake for a request; it is, when this returns.

        Raises:
            GateWriteError: it is not, and nothing is held.
        """
        hold = RequestHold(self._hold_for(scope))
        try:
            await self._controller.acquire(hold.key, label=label_of(scope)).waited()
        except BaseException:  # cancelled, too
            hold.end()
            raise
        return hold

    def close(self) -> None:
        """Take and watch nothing more; what is held stays until it is drained."""
        self._closed = True
        for hold in list(self._connections.values()):
            hold.forget()
        self._connections.clear()

    def _hold_for(self, scope: Scope) -> _Hold:
        connection = connection_of(scope)
        if scope["type"] == "websocket" or connection is None:
            return _Hold(self._controller, self._key())
        hold = self._connections.get(connection)
        if hold is None:
            hold = _ConnectionHold(self._controller, self._key(), connection, self)
            self._connections[connection] = hold
        return hold

    def _key(self) -> HoldKey:
        return HoldKey(HoldKind.REQUEST, str(next(self._numbers)))


class RequestHold:
    """One request's share in a hold."""

    def __init__(self, hold: _Hold) -> None:
        self._hold = hold
        self._ended = False
        hold.begin()

    @property
    def key(self) -> HoldKey:
        """The hold in the gate."""
        return self._hold.key

    def end(self) -> None:
        """Let go at once; later calls change nothing."""
        if not self._ended:
            self._ended = True
            self._hold.end()

    def end_when_sent(self) -> None:
        """Let go when the output has left; later calls change nothing."""
        if not self._ended:
            self._ended = True
            self._hold.end_when_sent()


class _Hold:
    """A hold for as long as a handler runs: a WebSocket's, or one of which we cannot see the connection."""

    def __init__(self, controller: GateController, key: HoldKey) -> None:
        self.key = key
        self._controller = controller

    def begin(self) -> None: ...

    def end(self) -> None:
        self._controller.release(self.key)

    def end_when_sent(self) -> None:
        self.end()


class _ConnectionHold(_Hold):
    """The hold of one HTTP connection: lasts from request to request while their answers have not left."""

    def __init__(
        self, controller: GateController, key: HoldKey, connection: ClientConnection, holds: RequestHolds
    ) -> None:
        super().__init__(controller, key)
        self._connection = connection
        self._holds = holds
        self._queue = SendQueue(connection)
        self._handlers = 0
        self._deadline: float | None = None
        """Until when an answer may take to leave; none when no answer waits to be seen leaving."""
        self._drain: Drain | None = None

    def begin(self) -> None:
        """One more handler runs. An answer before may go on leaving meanwhile."""
        self._handlers += 1
        self._stop_drain()

    def end(self) -> None:
        """One handler less, whose answer counts for nothing."""
        self._handlers -= 1
        if self._handlers:
            return
        if self._deadline is None:
            self._release()
        else:
            self._drain = Drain(self._queue, self._deadline, self._drained)

    def end_when_sent(self) -> None:
        """One handler less; its answer has to leave."""
        self._deadline = asyncio.get_running_loop().time() + self._holds._response_drain
        self.end()

    def forget(self) -> None:
        """Watch no more."""
        self._stop_drain()
        self._queue.close()

    def _drained(self, output: Output) -> None:
        if output is not Output.GONE:
            log.warning(
                "answer did not leave in time, connection ended",
                limit=self._holds._response_drain,
                kernel="says nothing" if output is Output.UNKNOWN else "still has it",
            )
            self._queue.abort()
        self._release()

    def _release(self) -> None:
        self.forget()
        if self._holds._connections.get(self._connection) is self:
            del self._holds._connections[self._connection]
        self._controller.release(self.key)

    def _stop_drain(self) -> None:
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None


def label_of(scope: Scope) -> str:
    """Return what people are shown of a request: method and the beginning of its path.

    Without the query, and without what may be a secret or somebody's id: at most two plain, short segments.
    """
    if scope["type"] == "websocket":
        method = "WebSocket"
    else:
        method = scope["method"] if scope["method"] in METHODS else "other"
    segments: list[str] = scope["path"].split("/")[1:]
    shown = [segment if not segment or PLAIN.fullmatch(segment) else "…" for segment in segments]
    if len(shown) > LABELLED_SEGMENTS:
        shown[LABELLED_SEGMENTS:] = ["…"]
    return f"{method} /{'/'.join(shown)}"


def _is_local(scope: Scope) -> bool:
    """Return whether the caller is on this machine; who is unknown (it has gone already) is not."""
    if scope.get("client"):
        return is_loopback(scope["client"][0])
    return False


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1011})
        return
    await JSONResponse(FAILED, 500)(scope, receive, send)
