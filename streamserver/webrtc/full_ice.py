"""Full ICE for one viewer, by aioice: for a server behind a NAT that nobody forwards a port of (RFC 8445).

Each viewer has sockets of its own, since aioice knows no shared port. The server asks STUN and TURN servers
for its addresses and sends checks itself, which opens the NAT towards the viewer.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol, relayed_candidate, server_reflexive_candidate
from aioice.mdns import is_mdns_hostname
from aioice.stun import Message
from aiortc import RTCIceServer
from aiortc.rtcicetransport import connection_kwargs

from streamserver.config.types import PortRange
from streamserver.logs import get_logger

from . import aiortc_seam as seam
from .addresses import MAX_CANDIDATES, Address, interface_addresses, usable
from .consent import Consent, Freshness
from .errors import SignalError
from .ice_lite import INBOX_LIMIT
from .rate_limit import RateLimit

log = get_logger("webrtc")

GATHER_TIMEOUT = 5.0
"""Seconds that STUN and TURN servers get to answer; the offer waits for them."""

MAX_REMOTE_CANDIDATES = 32
"""Candidates taken from one viewer: each costs checks to an address that the viewer chose."""

BUFFER_LIMIT = 256 * 1024
"""Bytes that may wait for one viewer where the system takes no more."""

SOCKET_BUFFER = 512 * 1024
"""Bytes asked for in each direction: a key frame and more."""

PACKETS = (2000.0, 2000)
"""Datagrams taken from a viewer, per second on average and at once."""

CHECKS = (100.0, 300)
"""Messages of STUN that one socket parses, per second on average and at once: aioice takes 60 µs for each."""

_EVERY_PORT = PortRange(0, 0)


class FullConnection(Connection):
    """aioice's connection, with what our senders and the consent sweep need; see
    `connection.ViewerConnection`."""

    is_lite = False
    takes_sound = False
    takes_pictures = False

    def __init__(
        self,
        servers: Iterable[RTCIceServer] = (),
        port_range: PortRange | None = None,
        public: Sequence[Address] = (),
    ) -> None:
        """Prepare it; `gather_candidates` opens the sockets.

        Args:
            servers: STUN and TURN servers; the first of each is used.
            port_range: UDP ports to use; None leaves it to the system.
            public: what viewers are told in the place of our interfaces' addresses.
        """
        super().__init__(ice_controlling=False, **connection_kwargs(list(servers)))
        self._port_range = port_range or _EVERY_PORT
        self._public = tuple(public)
        self._taken = 0
        self._consent = Consent(time.monotonic())
        self._heard_at = float("-inf")
        self._budget = RateLimit(*PACKETS, time.monotonic())
        self._waiting = 0
        self._adding: set[asyncio.Future[None]] = set()
        self.bytes_received = 0
        self.bytes_sent = 0
        self.overflowed = 0
        self.on_path_change: Callable[[], None] = lambda: None
        self.on_delivery: Callable[[int], None] | None = None

    # What aiortc calls, beyond what aioice does by itself.

    @property
    def local_candidates(self) -> list[Candidate]:
        """What viewers are told: our candidates, the hosts among them under their public addresses."""
        gathered: list[Candidate] = super().local_candidates
        if not self._public:
            return gathered
        told = []
        for candidate in gathered:
            if candidate.type != "host":
                told.append(candidate)
                continue
            family = 6 if ":" in candidate.host else 4
            told += [
                _renamed(candidate, str(address)) for address in self._public if address.version == family
            ]
        return told

    async def add_remote_candidate(self, remote_candidate: Candidate | None) -> None:
        """Take a candidate of the viewer's, unless it is of no use.

        A name of mDNS would have to be waited for, and the viewer's own checks show where it is. That there
        are no more is not passed on: aioice would give up before these checks come.
        """
        if (
            remote_candidate is None
            or self._taken >= MAX_REMOTE_CANDIDATES
            or remote_candidate.transport.lower() != "udp"
            or is_mdns_hostname(remote_candidate.host)
        ):
            return
        self._taken += 1
        await super().add_remote_candidate(remote_candidate)

    async def recv(self) -> bytes:
        """Return the next datagram that is not STUN."""
        data: bytes = await super().recv()
        self._waiting -= 1
        if self.on_delivery is not None:
            self.on_delivery(data[0])
        return data

    async def send(self, data: bytes) -> None:
        """Send one datagram."""
        await super().send(data)
        self.bytes_sent += len(data)

    # What aioice calls.

    def data_received(self, data: bytes, component: int) -> None:
        """Queue a datagram, if not too many wait and the viewer does not send more than it can have reason
        to."""
        self.bytes_received += len(data)
        if not data:
            return
        if self._waiting >= INBOX_LIMIT or not self._budget.allow(time.monotonic()):
            self.overflowed += 1
            return
        self._waiting += 1
        super().data_received(data, component)

    def check_incoming(self, message: Message, addr: tuple[str, int], protocol: StunProtocol) -> None:
        """Renew consent: the check was authenticated."""
        super().check_incoming(message, addr, protocol)
        self._heard_at = time.monotonic()
        self._consent.renew(self._heard_at)

    def check_complete(self, pair: CandidatePair) -> None:
        """Notice when media goes elsewhere from now on."""
        before = seam.selected_pair(self)
        super().check_complete(pair)
        if before is not None and seam.selected_pair(self) is not before:
            self.on_path_change()

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = 5
    ) -> list[Candidate]:
        """Open a socket for each of our addresses, in the port range, and ask the servers what they look
        like."""
        hosts = [await self._open(str(address), component) for address in self._own_addresses()]
        protocols = [protocol for protocol in hosts if protocol is not None]
        seam.add_protocols(self, protocols)
        candidates = [protocol.local_candidate for protocol in protocols]
        questions: list[asyncio.Future[tuple[Candidate, StunProtocol | None]]] = []
        if self.stun_server is not None:
            questions += [
                asyncio.ensure_future(_reflexive(protocol, self.stun_server))
                for protocol in protocols
                if ":" not in protocol.local_candidate.host and protocol.local_candidate.host != "127.0.0.1"
            ]
        if self.turn_server is not None:
            questions.append(asyncio.ensure_future(self._relayed(component, self.turn_server)))
        if questions:
            done, late = await asyncio.wait(questions, timeout=GATHER_TIMEOUT)
            for question in late:
                question.cancel()
            for answered in done:
                if (error := answered.exception()) is not None:
                    log.warning("a STUN or TURN server did not help", reason=str(error) or repr(error))
                    continue
                candidate, relay = answered.result()
                candidates.append(candidate)
                if relay is not None:
                    seam.add_protocols(self, [relay])
            if late:
                log.warning("a STUN or TURN server did not answer", seconds=GATHER_TIMEOUT)
        return candidates

    # What the peer, its senders and the sweep call.

    @property
    def writable(self) -> bool:
        """Whether little enough waits for the system."""
        return seam.waiting_bytes(self) <= BUFFER_LIMIT

    def send_segments(self, data: memoryview, stride: int) -> bool:
        """Send datagrams of `stride` bytes, the last may be shorter. False: too much waits."""
        if not self.writable:
            return False
        for start in range(0, len(data), stride):
            if not seam.send_on_pair(self, bytes(data[start : start + stride])):
                return True
        self.bytes_sent += len(data)
        return True

    def send_now(self, data: bytes) -> bool:
        """Send one datagram, if there is a path."""
        if not self.writable or not seam.send_on_pair(self, data):
            return False
        self.bytes_sent += len(data)
        return True

    def add_candidate(self, candidate: str) -> None:
        """Take a candidate of the viewer's, as SDP writes it; an empty one says that there are no more."""
        text = candidate.removeprefix("candidate:")
        try:
            parsed = Candidate.from_sdp(text) if text.strip() else None
        except (ValueError, IndexError, AssertionError) as error:
            raise SignalError(f"the candidate {candidate[:60]!r} cannot be read") from error
        # it waits for nothing: names are left out
        task = asyncio.ensure_future(self.add_remote_candidate(parsed))
        self._adding.add(task)
        task.add_done_callback(self._adding.discard)

    def freshness(self, now: float | None = None) -> Freshness:
        """Judge how long the viewer has been silent."""
        return self._consent.freshness(time.monotonic() if now is None else now)

    def forgive(self, gap: float) -> None:
        """Do not count `gap` seconds in which we could not have heard anything."""
        self._consent.forgive(gap)

    def revive(self) -> None:
        """Do nothing: aioice sends checks by itself every five seconds."""

    def answered_since(self, moment: float) -> bool:
        """Whether a check of the viewer's came after that moment of `time.monotonic`."""
        return self._heard_at > moment

    def restart(self) -> None:
        """Refuse: aioice has one set of credentials.

        Raises:
            SignalError: always.
        """
        raise SignalError("with webrtc.icelite: false ICE cannot restart; ask for a new connection")

    def protocols(self) -> Counter[str]:
        """Count the selected pair."""
        return Counter(udp=int(seam.selected_pair(self) is not None))

    def shut(self) -> None:
        """Close the sockets that are still open."""
        seam.close_protocols(self)

    # inside

    def _own_addresses(self) -> list[Address]:
        own = usable(interface_addresses(), ipv6=True)
        if self._public:  # loopback has no public name
            own = [address for address in own if not address.is_loopback]
        return own[:MAX_CANDIDATES]

    async def _open(self, address: str, component: int) -> StunProtocol | None:
        """Open a socket on the address; None if no port is free there."""
        first, last = self._port_range.first, self._port_range.last
        ports = list(range(first, last + 1))
        start = random.randrange(len(ports))  # noqa: S311 no secret
        for port in ports[start:] + ports[:start]:
            try:
                transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Socket(self), local_addr=(address, port)
                )
            except OSError:
                continue
            sock: socket.socket = transport.get_extra_info("socket")
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
            host, bound, *_ = transport.get_extra_info("sockname")
            protocol.local_candidate = Candidate(
                foundation=candidate_foundation("host", "udp", host),
                component=component,
                transport="udp",
                priority=candidate_priority(component, "host"),
                host=host,
                port=bound,
                type="host",
            )
            return protocol
        log.warning("no UDP port is free for a viewer", address=address, ports=str(self._port_range))
        return None

    async def _relayed(
        self, component: int, server: tuple[str, int]
    ) -> tuple[Candidate, StunProtocol | None]:
        return await relayed_candidate(
            component=component,
            hide_related_address=False,
            protocol_factory=lambda: _Socket(self),
            turn_server=server,
            turn_username=self.turn_username,
            turn_password=self.turn_password,
            turn_ssl=self.turn_ssl,
            turn_transport=self.turn_transport,
        )


class _Socket(StunProtocol):
    """aioice's, which looks before it parses: a flood costs little, and strangers are not heard once the
    viewer is known.
    """

    def __init__(self, receiver: FullConnection) -> None:
        super().__init__(receiver)
        self._owner = receiver
        self._checks = RateLimit(*CHECKS, time.monotonic())

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Tell STUN from the rest (RFC 7983 §7); take the rest from the viewer's address only."""
        assert isinstance(data, bytes)
        if data[:1] < b"\x04":
            if self._checks.allow(time.monotonic()):
                self._take_stun(data, addr)
            else:
                self._owner.overflowed += 1
            return
        pair = seam.selected_pair(self._owner)
        if pair is None or pair.remote_addr == addr[:2]:
            self._owner.data_received(data, self.local_candidate.component)

    def _take_stun(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Drop what aioice stumbles over: anybody can send it, and each would be an error in the log."""
        try:
            super().datagram_received(data, addr)
        except (struct.error, ValueError, IndexError, KeyError) as error:
            self._owner.overflowed += 1
            log.debug("a message of STUN was dropped", error=repr(error))


async def _reflexive(
    protocol: StunProtocol, server: tuple[str, int]
) -> tuple[Candidate, StunProtocol | None]:
    return await server_reflexive_candidate(protocol, server)


def _renamed(candidate: Candidate, host: str) -> Candidate:
    return Candidate(
        foundation=candidate_foundation("host", "udp", host),
        component=candidate.component,
        transport=candidate.transport,
        priority=candidate.priority,
        host=host,
        port=candidate.port,
        type=candidate.type,
    )
