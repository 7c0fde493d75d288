"""ICE candidates of viewers, at full ICE: each is taken, left out or refused, and no task fails."""

from __future__ import annotations

import contextlib

from streamserver.webrtc.errors import SignalError
from streamserver.webrtc.full_ice import MAX_REMOTE_CANDIDATES, FullConnection
from tests.fuzzing.target import OnLoop

MAX_LENGTH = 2048
INSTRUMENTED = (
    "streamserver.webrtc.full_ice",
    "aioice",
)


class CandidateTarget(OnLoop):
    """One connection; an input is a number of candidates, one a line."""

    def feed(self, data: bytes) -> None:
        self.run(self._feed(data.decode("utf-8", "replace")))

    async def _feed(self, text: str) -> None:
        connection = FullConnection()
        connection.remote_username, connection.remote_password = "them", "a password of twenty-two"
        for line in text.split("\n"):
            with contextlib.suppress(SignalError):
                connection.add_candidate(line)
        for adding in tuple(connection._adding):
            await adding
        assert len(connection.remote_candidates) <= MAX_REMOTE_CANDIDATES


def open_target() -> CandidateTarget:
    return CandidateTarget()


def seeds() -> dict[str, bytes]:
    host = "candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host generation 0"
    texts = {
        "host": host,
        "reflexive": "candidate:2 1 udp 1694498815 192.0.2.1 4000 typ srflx raddr 10.0.0.1 rport 4000",
        "ipv6": "candidate:3 1 udp 2130706431 2001:db8::1 4000 typ host",
        "tcp": "candidate:4 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
        "mdns": "candidate:5 1 udp 2113937151 0af6bd10-91ff-4c5f-8f3e-1e6d3d1e0f3c.local 4000 typ host",
        "end": "",
        "several": f"{host}\n{host.replace('4000', '4001')}\n",
    }
    return {name: text.encode() for name, text in texts.items()}
