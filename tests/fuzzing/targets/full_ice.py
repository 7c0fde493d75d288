"""STUN at a server with full ICE: whatever comes to its socket, from strangers or the viewer, fails nowhere.

The inputs are those of `stun`: messages with flags, of which 1 signs with the right password.
"""

from __future__ import annotations

import asyncio

from aioice import Candidate
from aioice.candidate import candidate_foundation, candidate_priority

from streamserver.webrtc.full_ice import FullConnection, _Socket
from tests.fuzzing.target import OnLoop
from tests.fuzzing.targets import stun

MAX_LENGTH = stun.MAX_LENGTH
INSTRUMENTED = (
    "streamserver.webrtc.full_ice",
    "aioice",
)


class Transport(asyncio.DatagramTransport):
    """A socket that counts what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0

    def sendto(self, data: object, addr: object = None) -> None:
        assert isinstance(data, bytes)
        self.sent += len(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        """There is nothing to close."""


class FullIceTarget(OnLoop):
    """One viewer's connection with one socket."""

    def feed(self, data: bytes) -> None:
        self.run(self._feed(data))

    async def _feed(self, data: bytes) -> None:
        connection = FullConnection()
        connection._local_username, connection._local_password = stun.UFRAG, stun.PASSWORD
        connection.remote_username, connection.remote_password = "them", stun.PASSWORD
        connection._early_checks_done = True
        socket, transport = _Socket(connection), Transport()
        socket.connection_made(transport)
        socket.local_candidate = Candidate(
            candidate_foundation("host", "udp", "192.0.2.9"),
            1,
            "udp",
            candidate_priority(1, "host"),
            "192.0.2.9",
            5000,
            "host",
        )
        messages = stun.split(data)
        for flags, message in messages:
            if flags & stun.SIGN:
                message = stun.signed(message)
            if flags & stun.FINGERPRINT:
                message = stun.with_fingerprint(message)
            socket.datagram_received(message, ("192.0.2.1", 4000))
        await asyncio.sleep(0)
        assert transport.sent <= 400 * len(messages), "nobody is flooded through us"
        for pair in connection._check_list:
            if pair.task is not None:
                pair.task.cancel()


def open_target() -> FullIceTarget:
    return FullIceTarget()


def seeds() -> dict[str, bytes]:
    return stun.seeds()
