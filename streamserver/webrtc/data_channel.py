"""The binary messages of the data channel, neko's v3 format: big-endian, one message per datagram.

A message is an opcode (u8), a length (u16) and a body. Clients put the size of the body into the length,
servers the size of the whole message modulo 65536. Both are understood here, and nothing else.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass

HEADER = struct.Struct("!BH")

MAX_MESSAGE_SIZE = 64
"""Bytes of the longest message a client may send; the longest known one has 19."""

PING_BASE = 2**32 - 1
"""A time in milliseconds is sent as `high * PING_BASE + low`; the base is neko's and not 2**32."""


class BadControlMessageError(ValueError):
    """The bytes are no message of this protocol; the text says why."""


class ClientOpcode(enum.IntEnum):
    """First byte of what clients send."""

    MOVE = 0x01
    SCROLL = 0x02
    KEY_DOWN = 0x03
    KEY_UP = 0x04
    BUTTON_DOWN = 0x05
    BUTTON_UP = 0x06
    PING = 0x07
    TOUCH_BEGIN = 0x08
    TOUCH_UPDATE = 0x09
    TOUCH_END = 0x0A


class ServerOpcode(enum.IntEnum):
    """First byte of what the server sends."""

    CURSOR_POSITION = 0x01
    CURSOR_IMAGE = 0x02
    PONG = 0x03


@dataclass(frozen=True, slots=True)
class Move:
    """The pointer is at `x`, `y` (px of the shared screen)."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Scroll:
    """The wheel turned; positive `delta_y` is up. `control_key`: with Ctrl held, which zooms."""

    delta_x: int
    delta_y: int
    control_key: bool


@dataclass(frozen=True, slots=True)
class Key:
    """A key, by X keysym, went down or up."""

    keysym: int
    down: bool


@dataclass(frozen=True, slots=True)
class Button:
    """A mouse button, by X number (1 left, 2 middle, 3 right), went down or up."""

    code: int
    down: bool


@dataclass(frozen=True, slots=True)
class Ping:
    """The client asks for an answer; both halves of its time come back unchanged."""

    high: int
    low: int

    @property
    def milliseconds(self) -> int:
        """The client's time."""
        return self.high * PING_BASE + self.low


class TouchPhase(enum.Enum):
    """What a finger does."""

    BEGIN = ClientOpcode.TOUCH_BEGIN
    UPDATE = ClientOpcode.TOUCH_UPDATE
    END = ClientOpcode.TOUCH_END


@dataclass(frozen=True, slots=True)
class Touch:
    """A finger on the screen."""

    phase: TouchPhase
    touch_id: int
    x: int
    y: int
    pressure: int


ControlMessage = Move | Scroll | Key | Button | Ping | Touch
"""Everything a client can say."""


def decode(data: bytes) -> ControlMessage:
    """Parse one message of a client.

    Raises:
        BadControlMessageError: too short or long for its opcode, an unknown opcode, or a length that fits
        neither
            convention.
    """
    if len(data) < HEADER.size or len(data) > MAX_MESSAGE_SIZE:
        raise BadControlMessageError(f"a message of {len(data)} bytes; 3 to {MAX_MESSAGE_SIZE} are possible")
    opcode, length = HEADER.unpack_from(data)
    reader = _READERS.get(opcode)
    if reader is None:
        raise BadControlMessageError(f"unknown opcode 0x{opcode:02x}")
    body = data[HEADER.size :]
    # neko's own client says 12 when a touch has 16 bytes.
    touch_quirk = reader is _touch and length == 12
    if length not in (len(body), len(data)) and not touch_quirk:
        raise BadControlMessageError(f"length field {length} with a body of {len(body)} bytes")
    try:
        return reader(opcode, body)
    except struct.error:
        raise BadControlMessageError(f"opcode 0x{opcode:02x} with a body of {len(body)} bytes") from None


def _move(_opcode: int, body: bytes) -> ControlMessage:
    return Move(*struct.unpack("!HH", body))


def _scroll(_opcode: int, body: bytes) -> ControlMessage:
    if len(body) == 4:  # clients before the control key existed
        delta_x, delta_y = struct.unpack("!hh", body)
        return Scroll(delta_x, delta_y, control_key=False)
    delta_x, delta_y, control_key = struct.unpack("!hhB", body)
    return Scroll(delta_x, delta_y, control_key != 0)


def _key(opcode: int, body: bytes) -> ControlMessage:
    (keysym,) = struct.unpack("!I", body)
    return Key(keysym, down=opcode == ClientOpcode.KEY_DOWN)


def _button(opcode: int, body: bytes) -> ControlMessage:
    (code,) = struct.unpack("!I", body)
    return Button(code, down=opcode == ClientOpcode.BUTTON_DOWN)


def _ping(_opcode: int, body: bytes) -> ControlMessage:
    return Ping(*struct.unpack("!II", body))


def _touch(opcode: int, body: bytes) -> ControlMessage:
    phase = TouchPhase(ClientOpcode(opcode))
    if len(body) == 16:  # neko's client sends the pressure as a 32-bit number
        return Touch(phase, *struct.unpack("!Iiii", body))
    return Touch(phase, *struct.unpack("!IiiB", body))


_READERS: dict[int, Callable[[int, bytes], ControlMessage]] = {
    ClientOpcode.MOVE: _move,
    ClientOpcode.SCROLL: _scroll,
    ClientOpcode.KEY_DOWN: _key,
    ClientOpcode.KEY_UP: _key,
    ClientOpcode.BUTTON_DOWN: _button,
    ClientOpcode.BUTTON_UP: _button,
    ClientOpcode.PING: _ping,
    ClientOpcode.TOUCH_BEGIN: _touch,
    ClientOpcode.TOUCH_UPDATE: _touch,
    ClientOpcode.TOUCH_END: _touch,
}


def encode_cursor_position(x: int, y: int) -> bytes:
    """Say where the pointer is (px); what does not fit 16 bits is clamped."""
    return _message(ServerOpcode.CURSOR_POSITION, struct.pack("!HH", _u16(x), _u16(y)))


def encode_cursor_image(width: int, height: int, xhot: int, yhot: int, png: bytes) -> bytes:
    """Say what the pointer looks like: its size and hot spot in px, and the picture as PNG."""
    shape = struct.pack("!HHHH", _u16(width), _u16(height), _u16(xhot), _u16(yhot))
    return _message(ServerOpcode.CURSOR_IMAGE, shape + png)


def encode_pong(ping: Ping, server_ms: int) -> bytes:
    """Answer a ping with our own time in milliseconds."""
    high, low = divmod(server_ms, PING_BASE)
    return _message(ServerOpcode.PONG, struct.pack("!IIII", ping.high, ping.low, high, low))


def encode_client_message(message: ControlMessage) -> bytes:
    """Build what a client sends: for clients in Python, and for tests."""
    match message:
        case Move(x, y):
            opcode, body = ClientOpcode.MOVE, struct.pack("!HH", x, y)
        case Scroll(delta_x, delta_y, control_key):
            opcode, body = ClientOpcode.SCROLL, struct.pack("!hhB", delta_x, delta_y, control_key)
        case Key(keysym, down):
            opcode = ClientOpcode.KEY_DOWN if down else ClientOpcode.KEY_UP
            body = struct.pack("!I", keysym)
        case Button(code, down):
            opcode = ClientOpcode.BUTTON_DOWN if down else ClientOpcode.BUTTON_UP
            body = struct.pack("!I", code)
        case Ping(high, low):
            opcode, body = ClientOpcode.PING, struct.pack("!II", high, low)
        case Touch(phase, touch_id, x, y, pressure):
            opcode, body = phase.value, struct.pack("!IiiB", touch_id, x, y, pressure)
    return HEADER.pack(opcode, len(body)) + body


def _message(opcode: ServerOpcode, body: bytes) -> bytes:
    return HEADER.pack(opcode, (HEADER.size + len(body)) & 0xFFFF) + body


def _u16(value: int) -> int:
    return max(0, min(value, 0xFFFF))
