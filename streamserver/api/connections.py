"""uvicorn's two protocol classes with the bounds they lack. The only file that touches their insides.

Measured with uvicorn 0.54 and websockets 17 (`tests/api/test_connections.py` repeats it):

- A connection that sends nothing, or half a request head, is kept for ever: `BoundedHttp` gives the head a
  deadline.
- A peer that answers no ping is closed with 1011, and the application sees 1005; but when output is waiting
  the closing waits for it too, so that a peer that vanished stays until TCP gives up: `BoundedWebSocket`
  aborts.
- `send` waits while more than 64 KiB are waiting in the process, so the buffer is bounded, but answers to
  pings do not wait: a client that pings and never reads filled the memory. `BoundedWebSocket` stops reading
  it meanwhile.
- A message of empty fragments grows without ever being too large: `BoundedWebSocket` bounds their number.
- A read takes up to 256 KiB, and all frames in it are parsed in one go: 0.2 s when they are tiny.
  `BoundedWebSocket` takes less.
- What is sent after the peer has gone is written all the same, until asyncio complains in the log.
- The handshake is logged with the query string and so with `?token=`: these loggers are not used.
- The application does not learn when an answer has left: `Connection` is in the extensions of every scope.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from streamserver.awake import Deadline
from streamserver.logs import get_logger
from streamserver.plugins.client_connection import EXTENSION
from streamserver.websocket import outlet

if TYPE_CHECKING:
    import h11
    from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent
    from uvicorn.config import Config
    from uvicorn.server import ServerState
    from websockets.frames import Frame

log = get_logger("http")

HEAD_TIMEOUT = 10.0
"""Seconds a client has from connecting to the end of its first request head."""

MAX_FRAGMENTS = 1024
"""Frames one WebSocket message may be cut into."""

READ_SIZE = 16 * 1024
"""Bytes of a WebSocket that are read, and parsed, at once."""

CLOSE_INVALID_DATA = 1007
CLOSE_TOO_BIG = 1009

_silent = logging.getLogger("streamserver.api.silent")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
_silent.setLevel(logging.CRITICAL + 1)


class Connection:
    """One TCP connection; see `streamserver.plugins.client_connection.ClientConnection`."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # With TLS the transport that we are given counts only what is not encrypted yet; the rest is below.
        self._tls: Any = getattr(transport, "_ssl_protocol", None)  # asyncio's own, and untyped
        self._callbacks: dict[object, Callable[[], None]] = {}
        self._closed = False

    @property
    def unsent(self) -> int:
        """Bytes of output that wait in this process."""
        if self._closed:
            return 0
        if self._tls is None:
            return self._transport.get_write_buffer_size()
        below: asyncio.Transport | None = self._tls._transport
        encrypted = below.get_write_buffer_size() if below is not None else 0
        return int(self._tls._get_write_buffer_size()) + encrypted

    def duplicate(self) -> socket.socket:
        """Return a second handle on the socket. Raises `OSError`."""
        own: socket.socket = self._transport.get_extra_info("socket")
        return own.dup()

    def on_closed(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when the connection is closed; returns what undoes this."""
        token = object()
        self._callbacks[token] = callback

        def forget() -> None:
            self._callbacks.pop(token, None)

        return forget

    def abort(self) -> None:
        """End the connection without sending what waits."""
        below: asyncio.Transport | None = self._transport if self._tls is None else self._tls._transport
        if below is not None:
            below.abort()

    def closed(self) -> None:
        """Tell those who asked; called by the protocol."""
        self._closed = True
        callbacks, self._callbacks = self._callbacks, {}
        for callback in callbacks.values():
            callback()


def _with_connection(app: ASGI3Application, connection: Callable[[], Connection]) -> ASGI3Application:
    """Return `app` with the connection in the extensions of its scopes."""

    def call(scope: Any, receive: Any, send: Any) -> Any:  # passed on as they are
        scope.setdefault("extensions", {})[EXTENSION] = connection()
        return app(scope, receive, send)

    return call


def _with_writer(app: ASGI3Application, writer: outlet.FrameWriter) -> ASGI3Application:
    """Return `app` with the way past ASGI in the extensions of its scopes."""

    def call(scope: Any, receive: Any, send: Any) -> Any:  # passed on as they are
        scope.setdefault("extensions", {})[outlet.EXTENSION] = writer
        return app(scope, receive, send)

    return call


class BoundedHttp(H11Protocol):
    """An HTTP connection whose first request head has a deadline, and which the application can see.

    Later ones are bounded by uvicorn's keep-alive timeout, and bodies by `layers.BodyDeadline`.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _silent
        self.access_log = False
        self._head_timer: asyncio.TimerHandle | None = None
        self.app = _with_connection(self.app, lambda: self.connection)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begin to wait for the head."""
        self.connection = Connection(transport)
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Take input; the deadline ends with the head."""
        served = self.cycle
        super().data_received(data)
        if self.cycle is not served or self.transport.get_protocol() is not self:
            self._disarm()
        elif self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            # the first bytes of another head (they ended uvicorn's own timer), or more of a body that was
            # refused
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timer with the connection."""
        self._disarm()
        super().connection_lost(exc)
        self.connection.closed()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over."""
        super().handle_websocket_upgrade(event)
        upgraded = self.transport.get_protocol()
        if isinstance(upgraded, BoundedWebSocket):  # its application has not begun to run
            upgraded.connection = self.connection

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.abort)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket connection whose memory and whose end are bounded, whatever the client does."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _silent
        self.conn.logger = _silent
        self.conn.debug = False
        self.app = _with_connection(_with_writer(self.app, self), lambda: self.connection)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with a connection of our own, until `BoundedHttp` gives us the one it had."""
        assert isinstance(transport, asyncio.Transport)
        self.connection = Connection(transport)
        if hasattr(transport, "max_size"):  # without TLS, which has records of 16 KiB anyhow
            transport.max_size = READ_SIZE
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application, and those who watch the connection."""
        super().connection_lost(exc)
        self.connection.closed()

    def pause_writing(self) -> None:
        """Stop reading as well: whatever the client asks now would only add to what it does not take."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on, unless the application is still busy with an earlier message."""
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    def write_frames(self, frames: bytes) -> bool:
        """Hand whole frames to the kernel; see `streamserver.websocket.outlet.FrameWriter`."""
        if self.conn.state is not State.OPEN or self.close_sent or self.connection.unsent:
            return False
        if self.transport.is_closing():
            return False
        self.transport.write(frames)
        return True

    async def send(self, message: ASGISendEvent) -> None:
        """Send, but no message to a peer that is gone."""
        if message["type"] == "websocket.send" and self.transport.is_closing():
            raise ClientDisconnected
        await super().send(message)

    async def receive(self) -> ASGIReceiveEvent:
        """Hand the next event to the application; reading goes on only if the client takes our output."""
        event = await super().receive()
        if not self.writable.is_set():
            self.transport.pause_reading()
        return event

    def handle_cont(self, event: Frame) -> None:
        """Take one more piece of a message, up to a number of pieces."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self._refuse(CLOSE_TOO_BIG, "too many fragments")
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message on; text must be UTF-8."""
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self._refuse(CLOSE_INVALID_DATA, "invalid UTF-8")
            return
        super().send_receive_event_to_app()

    def send_keepalive_ping(self) -> None:
        """Ask whether the peer is there."""
        super().send_keepalive_ping()
        self._answer_due = Deadline(self.ping_timeout or 0.0, time.monotonic(), time.time())

    def keepalive_timeout(self) -> None:
        """End the connection of a peer that answers no ping, without waiting for what it does not take.

        When it was us who were stopped, its answer may lie unread, or was lost with the network: ask again.
        """
        if self._answer_due.overslept(time.monotonic(), time.time()):
            self.pong_timer = None
            self.send_keepalive_ping()
            return
        log.debug("websocket peer answers no ping", client=self.client)
        super().keepalive_timeout()
        self.transport.abort()

    def _refuse(self, code: int, reason: str) -> None:
        """End the connection because of what the client sent: one debug line, and the application is told."""
        log.debug("websocket input refused", client=self.client, code=code, reason=reason)
        self.frames = []
        self.conn.fail(code, reason)
        self.handle_parser_exception()


def _is_utf8(pieces: list[bytes]) -> bool:
    try:
        b"".join(pieces).decode()
    except UnicodeDecodeError:
        return False
    return True
