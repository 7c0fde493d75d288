"""`/api/ws`: one WebSocket from its handshake to its end."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from streamserver.config.settings import Settings
from streamserver.logs import get_logger
from streamserver.sessions.errors import ConnectRefusedError
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session
from streamserver.websocket.client import LOG_INTERVAL, Client
from streamserver.websocket.credentials import find_token, origin_allowed
from streamserver.websocket.limits import LogLimiter, TokenBucket
from streamserver.websocket.messages import BadMessage, ClientMessage, parse
from streamserver.websocket.metrics import WebSocketMetrics
from streamserver.websocket.outlet import Outlet
from streamserver.websocket.peer import Encode, WebSocketPeer, encode_one

log = get_logger("websocket")

Dispatch = Callable[[Client, ClientMessage], Awaitable[None]]

Handle = Callable[[Client, str], Awaitable[str]]
"""Handles one frame and returns what event it was; raises `BadMessage`."""

FOREIGN_ORIGIN = (
    "the cookie does not count for a page of another origin; add the origin to server.cors or send a token"
)


class WebSocketEndpoint:
    """Authenticates, hands the socket to the sessions, and reads it, one message at a time."""

    def __init__(
        self,
        sessions: SessionManager,
        settings: Settings,
        metrics: WebSocketMetrics,
        dispatch: Dispatch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`dispatch` handles one message and may raise `BadMessage`."""
        self._sessions = sessions
        self._settings = settings
        self._metrics = metrics
        self.dispatch = dispatch
        self._clock = clock
        self._outlet = Outlet()
        self._door = asyncio.Lock()
        self._limiters: weakref.WeakKeyDictionary[Session, LogLimiter] = weakref.WeakKeyDictionary()

    async def __call__(self, websocket: WebSocket) -> None:
        """Serve one WebSocket until it is closed."""
        credentials = find_token(
            websocket.headers, websocket.query_params, websocket.cookies, self._settings.session.cookie.name
        )
        if not origin_allowed(credentials, websocket.headers, self._settings.server.cors):
            origin = websocket.headers.get("origin", "")[:200]
            log.info("websocket refused: cookie from another origin", origin=origin)
            await websocket.send_denial_response(
                JSONResponse({"code": 403, "message": FOREIGN_ORIGIN}, status_code=403)
            )
            return
        await websocket.accept()
        if credentials is None:
            await self._refuse(websocket, "no authentication provided")
        elif (session := self._sessions.by_token(credentials.token)) is None:
            await self._refuse(websocket, "session not found")
        else:
            with self._metrics.connections.track_inprogress():
                peer = self.make_peer(websocket, session.id)
                await self.serve(websocket, session, peer, self._handle_message)

    async def _refuse(self, websocket: WebSocket, reason: str) -> None:
        """Say why and close: after the handshake, because a page learns nothing of a failed one."""
        log.debug("websocket refused", reason=reason)
        peer = self.make_peer(websocket, "")
        peer.close(reason)
        await peer.write()

    def make_peer(self, websocket: WebSocket, name: str, encode: Encode = encode_one) -> WebSocketPeer:
        """Return the sending half for an accepted socket; `encode` makes frames of messages."""
        return WebSocketPeer(websocket, name, self._metrics, self._outlet, encode)

    async def serve(
        self,
        websocket: WebSocket,
        session: Session,
        peer: WebSocketPeer,
        handle: Handle,
        *,
        first: ClientMessage | None = None,
    ) -> None:
        """Make this the session's socket, and read it until it is closed; `first` is said on its behalf."""
        writer = asyncio.create_task(peer.write(), name=f"write {session.id}")
        close_code: int | None = None
        try:
            try:
                await self._sessions.connect(session, peer)
            except ConnectRefusedError as refusal:
                log.debug("websocket refused", session=session.id, reason=str(refusal))
                peer.close(str(refusal))
                await asyncio.wait({writer})
                return
            log.debug("websocket connected", session=session.id)
            close_code = await self._read_until_closed(websocket, session, peer, writer, handle, first)
            log.debug("websocket closed", session=session.id, code=close_code)
        finally:
            try:
                await self._one_by_one()
            finally:
                self._sessions.socket_closed(session, peer, close_code)
                writer.cancel()
                await asyncio.wait({writer})

    async def _one_by_one(self) -> None:
        """Return at a turn of the event loop at which nobody else leaves: everybody there is told of each."""
        async with self._door:
            await asyncio.sleep(0)

    async def _read_until_closed(
        self,
        websocket: WebSocket,
        session: Session,
        peer: WebSocketPeer,
        writer: asyncio.Task[None],
        handle: Handle,
        first: ClientMessage | None,
    ) -> int | None:
        """Return the client's close code; None when there was none, or when we closed."""
        client = Client(session, peer, self._limiter(session), self._clock)
        if first is not None:
            await self.dispatch(client, first)
        reader = asyncio.create_task(self._read(websocket, client, handle), name=f"read {session.id}")
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reader.cancel()
            await asyncio.wait({reader})
        return None if reader.cancelled() else reader.result()

    async def _read(self, websocket: WebSocket, client: Client, handle: Handle) -> int | None:
        """Handle message after message; a client that sends more than its share is read more slowly."""
        rate = self._settings.session.message_rate
        bucket = TokenBucket(rate, burst=rate)
        while True:
            frame = await websocket.receive()
            if frame["type"] != "websocket.receive":
                code: int | None = frame.get("code")
                return code
            if (wait := bucket.take(self._clock())) > 0:
                self._metrics.slowed.inc()
                client.note("client sends more than session.message_rate and is read more slowly", rate=rate)
            # also without a wait: messages that came together must not keep everybody else waiting
            await asyncio.sleep(wait)
            await self._handle(client, frame.get("text"), handle)

    async def _handle(self, client: Client, text: str | None, handle: Handle) -> None:
        try:
            if text is None:
                raise BadMessage("a binary frame")
            if len(text) > self._settings.server.max_message_size:
                raise BadMessage(f"longer than server.max_message_size: {len(text)} characters")
            self._metrics.received(await handle(client, text))
        except BadMessage as error:
            self._metrics.bad_messages.inc()
            client.complain("message ignored", error=str(error), event_name=error.event[:64])
        except Exception as error:  # noqa: BLE001 (it is logged, and one message of one client)
            client.complain("message failed", exc_info=error)

    async def _handle_message(self, client: Client, text: str) -> str:
        message = parse(text)
        try:
            await self.dispatch(client, message)
        except BadMessage as error:
            self._metrics.received(message.event)
            error.event = message.event
            raise
        return message.event

    def _limiter(self, session: Session) -> LogLimiter:
        return self._limiters.setdefault(session, LogLimiter(LOG_INTERVAL))
