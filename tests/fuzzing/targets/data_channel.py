"""Messages on the data channel of version 3: each is refused, or understood the same way again.

An input is a number of messages, each behind a byte that says its length.
"""

from __future__ import annotations

from pyee.base import EventEmitter

from streamserver.config.settings import SessionSettings
from streamserver.members.profile import MemberProfile
from streamserver.sessions.manager import SessionManager
from streamserver.webrtc.control_channel import ControlChannel
from streamserver.webrtc.data_channel import (
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
    encode_client_message,
)
from tests.webrtc.room import DeskStandIn

MAX_LENGTH = 512
INSTRUMENTED = (
    "streamserver.webrtc.data_channel",
    "streamserver.webrtc.control_channel",
)

_MESSAGES: dict[str, ControlMessage] = {
    "move": Move(640, 360),
    "scroll": Scroll(-2, 3, control_key=True),
    "key-down": Key(0xFF0D, True),
    "key-up": Key(0x0100_20AC, False),
    "button-down": Button(1, True),
    "button-up": Button(3, False),
    "ping": Ping(399, 4_000_000_000),
    "touch-begin": Touch(TouchPhase.BEGIN, 1, 10, 20, 255),
    "touch-update": Touch(TouchPhase.UPDATE, 1, -10, 20, 1),
    "touch-end": Touch(TouchPhase.END, 2**32 - 1, 0, 0, 0),
}


class Channel(EventEmitter):
    """A data channel that is open and counts what is sent."""

    readyState = "open"  # noqa: N815 aiortc's names
    bufferedAmount = 0  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0

    def send(self, message: bytes) -> None:
        self.sent += len(message)


class DataChannelTarget:
    """A viewer in control, whose input goes to a desktop that writes it down."""

    def __init__(self) -> None:
        self._sessions = SessionManager(SessionSettings())
        profile = MemberProfile(name="ann", is_admin=True, can_host=True)
        self._session = self._sessions.create("ann", profile)[0]
        self._sessions.set_controller(self._session, self._session)

    def feed(self, data: bytes) -> None:
        desktop, channel = DeskStandIn(), Channel()
        moves: list[tuple[int, int]] = []
        control = ControlChannel(
            channel,  # type: ignore[arg-type]
            self._session,
            desktop,
            lambda _session, x, y: moves.append((x, y)),
        )
        count = 0
        for message in split(data):
            count += 1
            channel.emit("message", message)
            check(message)
        assert channel.sent <= 19 * count, "an answer is no longer than a pong"
        assert len(desktop.input.calls) + control.refused <= count

    def close(self) -> None:
        self._sessions.shutdown()


def split(data: bytes) -> list[bytes]:
    """Return the messages of an input."""
    messages = []
    while data:
        length = data[0]
        messages.append(data[1 : 1 + length])
        data = data[1 + length :]
    return messages


def joined(*messages: bytes) -> bytes:
    """Make an input of messages."""
    return b"".join(bytes((len(message),)) + message for message in messages)


def check(message: bytes) -> None:
    """What is understood is understood the same when it is said again."""
    try:
        understood = decode(message)
    except BadControlMessageError:
        return
    if isinstance(understood, Touch) and not 0 <= understood.pressure <= 255:
        return  # neko's client may say more than our encoder can
    assert decode(encode_client_message(understood)) == understood


def open_target() -> DataChannelTarget:
    return DataChannelTarget()


def seeds() -> dict[str, bytes]:
    single = {name: joined(encode_client_message(message)) for name, message in _MESSAGES.items()}
    everything = joined(*(encode_client_message(message) for message in _MESSAGES.values()))
    # neko's own client: a pressure of 32 bits, and the length field of a touch without it
    neko_touch = joined(b"\x08\x00\x0c" + bytes(4) + b"\x00\x00\x00\x0a" * 3)
    whole_length = joined(b"\x01\x00\x07\x02\x80\x01\x68")
    return {**single, "everything": everything, "touch-of-neko": neko_touch, "length-of-all": whole_length}
