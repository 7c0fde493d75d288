"""One TCP port for viewers whose network blocks UDP: ICE-TCP, passive (RFC 6544), framed as RFC 4571 says.

On a connection the same comes as on the UDP port. Nothing is believed of who opened it until an authenticated
check came; nothing waits for a slow reader but its own frames.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import Counter
from typing import cast

from streamserver.logs import get_logger

from .agents import Agents
from .errors import PortError
from .paths import Agent, Path, SocketAddress, make_room
from .stun import MAX_CHECK_LENGTH, binding_success
from .udp_mux import MAX_DATAGRAM, plain

log = get_logger("webrtc")

BUFFER_LIMIT = 32 * 1024
"""Bytes that may wait in our memory for one slow reader; then it is sent nothing more until some have
left."""

UNSENT_LIMIT = 32 * 1024
"""Bytes that may wait in the kernel (`TCP_NOTSENT_LOWAT`): what lies there is late and cannot be taken
back."""

PATIENCE = 10.0
"""Seconds a connection has to show an authenticated check."""

MAX_STRANGERS = 128
"""Connections without an authenticated check, all together; further ones are closed at once."""

MAX_STRANGERS_PER_ADDRESS = 16
"""The same from one address."""

READ_SIZE = 2 * (2 + MAX_DATAGRAM)
"""Bytes read in one go: the loop looks after its other work in between."""


class TcpPath(Path):
    """A viewer's TCP connection."""

    __slots__ = ("_connection",)

    protocol = "tcp"

    def __init__(self, remote: SocketAddress, agent: Agent, connection: _Connection) -> None:
        super().__init__(remote, agent)
        self._connection = connection

    @property
    def writable(self) -> bool:
        """Whether little enough waits for this reader."""
        return self._connection.writable

    def send(self, data: bytes) -> bool:
        """Send one frame; False if too much waits already."""
        return self._connection.send(memoryview(data), len(data))

    def send_segments(self, data: memoryview, stride: int) -> bool:
        """Send one frame for each datagram, in one write."""
        return self._connection.send(data, stride)

    def drop(self) -> None:
        """Close the connection."""
        self.agent.paths.discard(self)
        self._connection.abort()


class TcpMux:
    """The listening socket and its connections; used on the event loop only."""

    def __init__(self, sock: socket.socket, agents: Agents) -> None:
        self._socket = sock
        self._agents = agents
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._strangers: Counter[str] = Counter()
        self.port: int = sock.getsockname()[1]

    @classmethod
    def bind(cls, port: int, agents: Agents) -> TcpMux:
        """Open the port on all addresses of IPv6 and IPv4, or of IPv4 where IPv6 is off.

        Raises:
            PortError: another program has the port, or we may not have it.
        """
        try:
            sock = _listening_socket(socket.AF_INET6, port)
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENOPROTOOPT):
                raise _port_error(port, error) from error
            try:
                sock = _listening_socket(socket.AF_INET, port)
            except OSError as second:
                raise _port_error(port, second) from second
        return cls(sock, agents)

    @property
    def path_count(self) -> int:
        """Connections that belong to viewers now."""
        return sum(connection.path is not None for connection in self._connections)

    async def start(self) -> None:
        """Begin to accept on the running event loop."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, self._agents), sock=self._socket)

    def close(self) -> None:
        """Close all connections and give the port back. Safe to call again."""
        for connection in tuple(self._connections):
            connection.abort()
        if self._server is not None:
            self._server.close()
            self._server = None
        self._socket.close()

    # What the connections call.

    def opened(self, connection: _Connection, host: str) -> bool:
        """Take a new connection in, unless there are too many of which nothing is known."""
        if self._strangers[host] >= MAX_STRANGERS_PER_ADDRESS or self._strangers.total() >= MAX_STRANGERS:
            self._agents.dropped["tcp_too_many"] += 1
            return False
        self._strangers[host] += 1
        self._connections.add(connection)
        return True

    def no_stranger(self, host: str) -> None:
        """Note that a connection showed whose it is, or ended."""
        self._strangers[host] -= 1
        if self._strangers[host] <= 0:
            del self._strangers[host]

    def closed(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)


class _Connection(asyncio.BufferedProtocol):
    """One connection: frames in, checks answered, the rest to the agent it turned out to belong to."""

    def __init__(self, mux: TcpMux, agents: Agents) -> None:
        self._mux = mux
        self._agents = agents
        self._buffer = bytearray(READ_SIZE)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._transport: asyncio.Transport | None = None
        self._remote: SocketAddress = ("", 0)
        self._host = ""
        self._stranger = False
        self._timer: asyncio.TimerHandle | None = None
        self.path: TcpPath | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it in and give it `PATIENCE`."""
        self._transport = cast("asyncio.Transport", transport)
        self._remote = self._transport.get_extra_info("peername") or ("", 0)
        self._host = plain(self._remote)[0]
        if not self._mux.opened(self, self._host):
            self._transport.abort()
            return
        self._stranger = True
        self._transport.set_write_buffer_limits(high=BUFFER_LIMIT)
        sock: socket.socket = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT)
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._too_slow)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Let the next bytes be read behind what waits for its rest."""
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take the frames that are whole; keep the beginning of the next one."""
        self._filled += nbytes
        start = 0
        while self._filled - start >= 2 and self._transport is not None and not self._transport.is_closing():
            length = int.from_bytes(self._view[start : start + 2], "big")
            if length > (MAX_DATAGRAM if self.path is not None else MAX_CHECK_LENGTH):
                self._agents.dropped["size"] += 1
                self.abort()
                return
            end = start + 2 + length
            if end > self._filled:
                break
            if length:
                self._frame(self._view[start + 2 : end])
            start = end
        self._filled -= start
        self._buffer[: self._filled] = self._buffer[start : start + self._filled]

    def connection_lost(self, error: Exception | None) -> None:
        """Take the path away from its agent."""
        self._transport = None
        self._known()
        if self.path is not None:
            self.path.agent.paths.discard(self.path)
            self.path = None
        self._mux.closed(self)

    # What the path calls.

    @property
    def writable(self) -> bool:
        """Whether little enough waits."""
        return self._transport is None or self._transport.get_write_buffer_size() <= BUFFER_LIMIT

    def send(self, data: memoryview, stride: int) -> bool:
        """Write frames of `stride` bytes; False if too much waits. On a closed connection they are lost."""
        if self._transport is None or self._transport.is_closing():
            return True
        if self._transport.get_write_buffer_size() > BUFFER_LIMIT:
            self._agents.dropped["tcp_buffer_full"] += 1
            return False
        parts: list[bytes | memoryview] = []
        for start in range(0, len(data), stride):
            frame = data[start : start + stride]
            parts += (len(frame).to_bytes(2, "big"), frame)
        self._transport.write(b"".join(parts))
        return True

    def abort(self) -> None:
        """Close it now; what waits is lost."""
        if self._transport is not None:
            self._transport.abort()

    # inside

    def _frame(self, frame: memoryview) -> None:
        first = frame[0]
        if first < 4:
            self._stun(frame)
        elif self.path is None:
            self._agents.dropped["unknown_address"] += 1
        elif 20 <= first <= 63 or 128 <= first <= 191:  # DTLS, SRTP and SRTCP: RFC 7983 §7
            self.path.agent.data_received(self.path, frame)
        else:
            self._agents.dropped["unknown_protocol"] += 1

    def _stun(self, frame: memoryview) -> None:
        admitted = self._agents.admit(frame, ("tcp", self._remote), self.path)
        if admitted is None:
            return
        agent = admitted.agent
        if self.path is None:
            self._known()
            make_room(agent)
            self.path = TcpPath(self._remote, agent, self)
            agent.paths.add(self.path)
        elif self.path.agent is not agent:  # a connection is opened for one viewer
            self.abort()
            return
        agent.check_received(self.path, admitted.check)
        answer = binding_success(admitted.check.transaction_id, plain(self._remote), admitted.key)
        self.path.send(answer)

    def _known(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stranger:
            self._stranger = False
            self._mux.no_stranger(self._host)

    def _too_slow(self) -> None:
        self._agents.dropped["tcp_idle"] += 1
        self.abort()


def _listening_socket(family: socket.AddressFamily, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(("::", port))
        else:
            sock.bind(("0.0.0.0", port))  # noqa: S104 viewers come from everywhere
        sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock


def _port_error(port: int, error: OSError) -> PortError:
    if error.errno == errno.EADDRINUSE:
        return PortError(
            f"webrtc.tcpmux: TCP port {port} is in use by another program; "
            "stop that program, choose another port, or 0 for no media over TCP"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return PortError(f"webrtc.tcpmux: we may not open TCP port {port}; choose one above 1023")
    return PortError(f"webrtc.tcpmux: TCP port {port} cannot be opened: {os.strerror(error.errno or 0)}")
