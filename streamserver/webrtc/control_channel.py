"""One viewer's data channel: its input goes to the desktop, the pointer comes back."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiortc import InvalidStateError, RTCDataChannel

from streamserver.logs import get_logger
from streamserver.sessions.model import Session

from .data_channel import (
    BadControlMessageError,
    Button,
    ControlMessage,
    Key,
    Move,
    Ping,
    Scroll,
    Touch,
    TouchPhase,
    decode,
    encode_cursor_image,
    encode_cursor_position,
    encode_pong,
)
from .rate_limit import RateLimit
from .surroundings import CursorImageLike, DesktopLike

log = get_logger("webrtc")

LABEL = "data"

INPUT_RATE = 1000
"""Messages a second from one viewer: a fast mouse, unthrottled. More are dropped."""

INPUT_BURST = 2000
"""Messages that may come at once, after the network held them back."""

MAX_BUFFERED = 16 * 1024
"""Bytes waiting for a viewer beyond which it is spared positions, answers and pictures of the pointer."""


def act(desktop: DesktopLike, message: ControlMessage) -> None:
    """Do on the desktop what a message asks for; whether its sender may is the caller's question."""
    device = desktop.input
    match message:
        case Move(x, y):
            device.move(x, y)
        case Scroll(delta_x, delta_y, control_key):
            device.scroll(delta_x, delta_y, control_key)
        case Key(keysym, down):
            (device.key_down if down else device.key_up)(keysym)
        case Button(code, down):
            (device.button_down if down else device.button_up)(code)
        case Touch(TouchPhase.BEGIN, finger, x, y, pressure):
            desktop.touch.begin(finger, x, y, pressure)
        case Touch(TouchPhase.UPDATE, finger, x, y, pressure):
            desktop.touch.update(finger, x, y, pressure)
        case Touch(TouchPhase.END, finger, x, y):
            desktop.touch.end(finger, x, y)
        case Ping():
            pass


class ControlChannel:
    """Acts on what comes in, if the viewer may; sends what the pointer does.

    `moved(session, x, y)` is called when this viewer, being in control, moved the pointer.
    `bytes_received`, `bytes_sent`: of messages; `refused`: messages that were junk or too many.
    """

    def __init__(
        self,
        channel: RTCDataChannel,
        session: Session,
        desktop: DesktopLike,
        moved: Callable[[Session, int, int], None],
    ) -> None:
        self.bytes_received = 0
        self.bytes_sent = 0
        self.refused = 0
        self._channel = channel
        self._session = session
        self._desktop = desktop
        self._moved = moved
        self._limit = RateLimit(INPUT_RATE, INPUT_BURST, time.monotonic())
        self._image_late = False
        channel.on("open", self._opened)
        channel.on("message", self._received)
        channel.on("bufferedamountlow", self._drained)

    @property
    def session(self) -> Session:
        """Whose channel it is."""
        return self._session

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return bool(self._channel.readyState == "open")

    def send_cursor_image(self, image: CursorImageLike) -> None:
        """Show the pointer's look; a slow viewer gets the latest one when it has caught up."""
        if self._channel.bufferedAmount > MAX_BUFFERED:
            self._image_late = True
            return
        self._send(
            encode_cursor_image(image.width, image.height, image.hotspot_x, image.hotspot_y, image.png)
        )

    def send_cursor_position(self, x: int, y: int) -> None:
        """Show where the pointer is; skipped for a slow viewer, for whom the next one comes soon."""
        if self._channel.bufferedAmount <= MAX_BUFFERED:
            self._send(encode_cursor_position(x, y))

    def _opened(self) -> None:
        image = self._desktop.cursor_image
        if image is not None:
            self.send_cursor_image(image)
        self.send_cursor_position(*self._desktop.cursor_position())

    def _drained(self) -> None:
        image = self._desktop.cursor_image
        if self._image_late and image is not None:
            self._image_late = False
            self.send_cursor_image(image)

    def _received(self, data: bytes | str) -> None:
        self.bytes_received += len(data)
        now = time.monotonic()
        if not self._limit.allow(now):
            self._refuse("more messages than a mouse can send")
            return
        if isinstance(data, str):
            self._refuse("a text message")
            return
        try:
            message = decode(data)
        except BadControlMessageError as error:
            self._refuse(str(error))
            return
        if isinstance(message, Ping):
            if self._channel.bufferedAmount <= MAX_BUFFERED:
                self._send(encode_pong(message, int(time.time() * 1000)))
            return
        self._session.last_input = now
        if self._session.is_controller:
            act(self._desktop, message)
            if isinstance(message, Move):
                self._moved(self._session, message.x, message.y)
        elif isinstance(message, Move) and self._session.profile.sends_inactive_cursor:
            self._session.cursor_trail.append((message.x, message.y))

    def _refuse(self, reason: str) -> None:
        self.refused += 1
        if self.refused == 1:  # one line, however much comes
            log.warning("ignoring messages on the data channel", session_id=self._session.id, reason=reason)

    def _send(self, message: bytes) -> None:
        if not self.open:
            return
        try:
            self._channel.send(message)
        except (InvalidStateError, ValueError) as error:  # closing, or larger than the viewer takes
            log.debug("data channel message not sent", session_id=self._session.id, error=str(error))
        else:
            self.bytes_sent += len(message)
