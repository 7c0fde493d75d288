"""The data channel of neko's version 2: made by the client, little-endian, input only.

A message is an opcode (u8), a length (u16, which nobody looks at) and a body. Nothing is sent back: the
clients of version 2 ignore it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

from aiortc import RTCDataChannel

from streamserver.logs import get_logger
from streamserver.sessions.model import Session

from .control_channel import INPUT_BURST, INPUT_RATE, act
from .data_channel import BadControlMessageError, Button, Key, Move, Scroll
from .rate_limit import RateLimit
from .surroundings import DesktopLike

log = get_logger("webrtc")

FIRST_KEYSYM = 8
"""Codes below are mouse buttons, the others keysyms."""

_KEY_DOWN = 3

LegacyMessage = Move | Scroll | Key | Button


def decode_legacy(data: bytes) -> LegacyMessage | None:
    """Parse one message of a version 2 client; None: one that means nothing.

    Raises:
        BadControlMessageError: too short, or an unknown opcode.
    """
    if len(data) < 3:
        raise BadControlMessageError(f"a message of {len(data)} bytes")
    opcode, body = data[0], data[3:]
    try:
        match opcode:
            case 1:
                return Move(*struct.unpack_from("<HH", body))
            case 2:
                delta_x, delta_y = struct.unpack_from("<hh", body)
                control = len(body) > 4 and body[4] != 0
                return Scroll(delta_x, delta_y, control_key=control)
            case 3 | 4:
                (code,) = struct.unpack_from("<Q", body)
                down = opcode == _KEY_DOWN
                if code < FIRST_KEYSYM:
                    return Button(code, down)
                return Key(code, down) if code < 2**32 else None
            case 5:
                return None
    except struct.error:
        raise BadControlMessageError(f"opcode {opcode} with a body of {len(body)} bytes") from None
    raise BadControlMessageError(f"unknown opcode {opcode}")


class LegacyChannel:
    """Acts on what comes in, while `may_control` says so.

    `moved(session, x, y)` is called when this viewer moved the pointer.
    """

    def __init__(
        self,
        channel: RTCDataChannel,
        session: Session,
        desktop: DesktopLike,
        may_control: Callable[[Session], bool],
        moved: Callable[[Session, int, int], None],
    ) -> None:
        self.refused = 0
        self._session = session
        self._desktop = desktop
        self._may_control = may_control
        self._moved = moved
        self._limit = RateLimit(INPUT_RATE, INPUT_BURST, time.monotonic())
        channel.on("message", self._received)

    def _received(self, data: bytes | str) -> None:
        now = time.monotonic()
        if not self._limit.allow(now):
            self._refuse("more messages than a mouse can send")
            return
        try:
            message = decode_legacy(data.encode() if isinstance(data, str) else data)
        except BadControlMessageError as error:
            self._refuse(str(error))
            return
        self._session.last_input = now
        if message is not None and self._may_control(self._session):
            act(self._desktop, message)
            if isinstance(message, Move):
                self._moved(self._session, message.x, message.y)

    def _refuse(self, reason: str) -> None:
        self.refused += 1
        if self.refused == 1:  # one line, however much comes
            log.warning("ignoring messages of version 2", session_id=self._session.id, reason=reason)
