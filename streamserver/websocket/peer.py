"""The sending half of one WebSocket: a bounded queue and the task that empties it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from starlette.websockets import WebSocket, WebSocketDisconnect

from streamserver.awake import awake_timeout
from streamserver.logs import get_logger
from streamserver.sessions.model import ABSENT, Message
from streamserver.websocket.metrics import WebSocketMetrics
from streamserver.websocket.outlet import Outlet, text_frame, writer_of

log = get_logger("websocket")

QUEUE_MESSAGES = 2048
"""Messages that may wait for a client; one more, and it is closed."""

QUEUE_BYTES = 8 * 1024 * 1024
"""Bytes that may wait for a client before another message closes it."""

SEND_TIMEOUT = 20.0
"""Seconds a client may go without reading while something waits for it."""

WRITE_BYTES = 64 * 1024
"""Bytes beyond which no more messages are put into one write."""

CLOSE_TIMEOUT = 3.0
"""Seconds a client has to take what still waits for it once we close."""

CLOSE_CODES = {
    "connection replaced": 1000,
    "connection shutdown": 1001,
}
"""Our close code by reason; every other reason is a refusal."""

CLOSE_REFUSED = 1008
"""Policy violation: the session, or this connection, is not wanted (RFC 6455 §7.4.1)."""


Encode = Callable[[str, object], Iterable[str]]
"""Makes the frames of a message: one, or as many as another protocol needs."""


class PartlyEncoded(dict[str, object]):
    """A payload of which one value, the last, is known as text too: what everybody is told who connects."""

    def __init__(self, payload: Mapping[str, object], key: str, text: str) -> None:
        """`text` is the JSON of `payload[key]`."""
        super().__init__(payload)
        self.key = key
        self.text = text


def encode(event: str, payload: object = ABSENT) -> str:
    """Return a message as text; `ABSENT` leaves the payload out, None is null."""
    if isinstance(payload, PartlyEncoded):
        others = encode_text({key: value for key, value in payload.items() if key != payload.key})
        inner = f"{others[:-1]}{',' if len(payload) > 1 else ''}{json.dumps(payload.key)}:{payload.text}}}"
        return f'{{"event":{json.dumps(event)},"payload":{inner}}}'
    message: dict[str, object] = {"event": event}
    if payload is not ABSENT:
        message["payload"] = payload
    return encode_text(message)


def encode_text(message: Mapping[str, object]) -> str:
    """Return JSON in ASCII only: half a surrogate pair that a client sent is passed on and no failure."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def encode_one(event: str, payload: object) -> tuple[str]:
    """Make the frame of version 3 of neko's protocol."""
    return (encode(event, payload),)


class WebSocketPeer:
    """What `Session.socket` is. `send` and `close` never block.

    What is sent is written by the outlet as long as the client takes it at once; `write` is the task that
    does what needs waiting.
    """

    def __init__(
        self,
        websocket: WebSocket,
        name: str,
        metrics: WebSocketMetrics,
        outlet: Outlet,
        encode: Encode = encode_one,
    ) -> None:
        """`name` is the session in log lines."""
        self._encode = encode
        self._outlet = outlet
        self._writer = writer_of(websocket.scope)
        self._due = False
        self._waits = True  # the task has not begun
        self._websocket = websocket
        self._name = name
        self._metrics = metrics
        self._waiting: deque[str] = deque()
        self._waiting_bytes = 0
        self._work = asyncio.Event()
        self._failed = asyncio.Event()
        self._open = True
        self._close_code: int | None = None
        self._close_reason = ""

    def send(self, event: str, payload: object = ABSENT) -> None:
        """Queue a message. When too much waits already, the client is too slow and is closed."""
        self.pass_on(Message(event, payload))

    def pass_on(self, message: Message) -> None:
        """Queue a message that others get too."""
        if not self._open:
            return
        for text in message.form(self._encode):
            self.send_text(text)
        self._metrics.sent(message.event)

    def send_text(self, text: str) -> None:
        """Queue a frame that is made already."""
        if not self._open:
            return
        if len(self._waiting) >= QUEUE_MESSAGES or self._waiting_bytes > QUEUE_BYTES:
            self._too_slow("too much waits for it")
            return
        self._queue(text)

    def close(self, reason: str) -> None:
        """Send what waits, then `system/disconnect` with the reason, then close."""
        if not self._open:
            return
        self._open = False
        for text in self._encode("system/disconnect", {"message": reason}):
            self._queue(text)
        self._metrics.sent("system/disconnect")
        self._close_reason = reason
        self._close_code = CLOSE_CODES.get(reason, CLOSE_REFUSED)
        self._wait()
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._failed.set)

    async def write(self) -> None:
        """Send what is queued until the peer is closed, fails or is cancelled. Never raises otherwise."""
        writing = asyncio.create_task(self._write_all())
        failing = asyncio.create_task(self._failed.wait())
        try:
            await asyncio.wait({writing, failing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open = False
            writing.cancel()
            failing.cancel()
            await asyncio.wait({writing, failing})
            self._waits = True
            self._waiting.clear()

    def _queue(self, text: str) -> None:
        self._waiting.append(text)
        self._waiting_bytes += len(text)
        if self._waits:
            self._work.set()
        elif not self._due:
            self._due = True
            self._outlet.soon(self)

    def flush(self) -> None:
        """Write what waits, as the outlet's turn; leave it to the task when the client does not take it."""
        self._due = False
        if self._waits:
            return
        assert self._writer is not None
        while self._waiting:
            frames, count, size = [], 0, 0
            for text in self._waiting:
                frames.append(text_frame(text))
                count += 1
                size += len(text)
                if size > WRITE_BYTES:
                    break
            if not self._writer.write_frames(b"".join(frames)):
                self._wait()
                return
            self._waiting_bytes -= size
            if count == len(self._waiting):
                self._waiting.clear()
            else:
                for _ in range(count):
                    self._waiting.popleft()

    def _wait(self) -> None:
        """Let the task do what is to be done now."""
        self._waits = True
        self._work.set()

    async def _write_all(self) -> None:
        try:
            while True:
                while self._waiting:
                    text = self._waiting.popleft()
                    self._waiting_bytes -= len(text)
                    async with awake_timeout(SEND_TIMEOUT):
                        await self._websocket.send_text(text)
                if self._close_code is not None:
                    await self._websocket.close(self._close_code, self._close_reason)
                    return
                self._waits = self._writer is None
                self._work.clear()
                await self._work.wait()
        except TimeoutError:
            self._too_slow("it does not read")
        except (WebSocketDisconnect, RuntimeError, OSError):
            pass  # it is gone; the reading half knows why

    def _too_slow(self, why: str) -> None:
        if self._failed.is_set():
            return
        self._open = False
        self._failed.set()
        self._metrics.closed_slow.inc()
        log.warning(
            "closing a client that is too slow",
            session=self._name,
            why=why,
            messages=len(self._waiting),
            bytes=self._waiting_bytes,
        )
