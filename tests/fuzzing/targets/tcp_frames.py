"""The framing of media over TCP (RFC 4571): whatever the pieces, the same frames come out, or it is closed.

The first byte of an input says how the rest is cut into what one read gives. If it is odd, an authentic
check comes first.
"""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from streamserver.webrtc.agents import Agents
from streamserver.webrtc.ice_lite import LiteConnection
from streamserver.webrtc.paths import Path
from streamserver.webrtc.stun import MAX_CHECK_LENGTH, IntegrityKey, binding_request
from streamserver.webrtc.tcp_mux import READ_SIZE, TcpMux, _Connection
from streamserver.webrtc.udp_mux import MAX_DATAGRAM
from tests.fuzzing.target import OnLoop

MAX_LENGTH = 8192
INSTRUMENTED = (
    "streamserver.webrtc.tcp_mux",
    "streamserver.webrtc.stun",
)

UFRAG, PASSWORD = "ours", "a password of twenty-two"
CHECK = binding_request(bytes(12), f"{UFRAG}:them", 1, 2, IntegrityKey(PASSWORD))


class Transport(asyncio.Transport):
    """A connection that takes everything."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False
        self.written = 0
        self._socket = socket.socket()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return {"peername": ("192.0.2.1", 4000), "socket": self._socket}.get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits."""

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True
        self._socket.close()


class Mux:
    """The port: lets everybody in."""

    def opened(self, connection: _Connection, host: str) -> bool:
        return True

    def no_stranger(self, host: str) -> None:
        """It is one no more."""

    def closed(self, connection: _Connection) -> None:
        """It is gone."""


class Agent(LiteConnection):
    """A viewer's agent that keeps what it is given."""

    def __init__(self, agents: Agents) -> None:
        super().__init__(agents, [])
        self.took: list[bytes] = []

    def data_received(self, path: Path, data: memoryview) -> None:
        self.took.append(bytes(data))


class TcpFramesTarget(OnLoop):
    """A connection of a stranger or a viewer."""

    def feed(self, data: bytes) -> None:
        self.run(self._feed(data[0] if data else 0, data[1:]))

    async def _feed(self, mode: int, data: bytes) -> None:
        agents = Agents()
        agent = Agent(agents)
        agents.register(UFRAG, IntegrityKey(PASSWORD), agent)
        if mode % 2:
            data = len(CHECK).to_bytes(2, "big") + CHECK + data
        transport = Transport()
        connection = _Connection(cast("TcpMux", Mux()), agents)
        connection.connection_made(transport)
        rest = data
        while rest and not transport.aborted:
            space = connection.get_buffer(-1)
            assert space, "asyncio cannot read into no memory"
            piece = rest[: min(len(space), 1 + mode // 2 * 23)]
            space[: len(piece)] = piece
            connection.buffer_updated(len(piece))
            rest = rest[len(piece) :]
        wanted = media_frames(data, known=mode % 2 == 1)
        assert agent.took == wanted[: len(agent.took)]
        assert transport.aborted or agent.took == wanted
        assert len(connection._buffer) == READ_SIZE
        transport.abort()
        connection.connection_lost(None)
        agent.shut()


def media_frames(data: bytes, *, known: bool) -> list[bytes]:
    """Return the frames of media that a viewer's connection has, up to one that is too long."""
    frames: list[bytes] = []
    while len(data) >= 2:
        length = int.from_bytes(data[:2], "big")
        frame = data[2 : 2 + length]
        if length > (MAX_DATAGRAM if known else MAX_CHECK_LENGTH) or len(frame) < length:
            break
        known = known or frame == CHECK
        if known and frame and (20 <= frame[0] <= 63 or 128 <= frame[0] <= 191):
            frames.append(frame)
        data = data[2 + length :]
    return frames


def open_target() -> TcpFramesTarget:
    return TcpFramesTarget()


def seeds() -> dict[str, bytes]:
    def framed(*frames: bytes) -> bytes:
        return b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)

    hello, media = b"\x16\xfe\xff" + bytes(60), b"\x80\x66" + bytes(90)
    return {
        "viewer": b"\xff" + framed(hello, media),
        "viewer-byte-by-byte": b"\x01" + framed(hello, media, media),
        "stranger": b"\xfe" + framed(hello),
        "check": b"\xfe" + framed(CHECK, media),
        "empty-frames": b"\x0d" + framed(b"", b"", media),
        "largest": b"\xff" + framed(b"\x80" * MAX_DATAGRAM, media),
        "too-long": b"\xff" + b"\xff\xff" + bytes(30),
        "unknown-protocol": b"\x0b" + framed(b"GET / HTTP/1.1", media),
    }
