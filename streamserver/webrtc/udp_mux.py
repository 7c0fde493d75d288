"""One UDP socket for all viewers.

Whose datagram it is says its source address, once that address has shown with an authenticated connectivity
check that a viewer is behind it. Everything else is dropped without an answer: nothing is allocated for it,
and nobody can be flooded through us.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import struct

from streamserver.logs import get_logger

from .agents import Agents
from .errors import PortError
from .paths import Agent, Path, SocketAddress, make_room
from .stun import binding_success

log = get_logger("webrtc")

ControlMessages = list[tuple[int, int, bytes]]
"""Ancillary data of `sendmsg`: from which of our addresses to send."""

MAX_DATAGRAM = 2048
"""Bytes; nothing a viewer sends is larger than an Ethernet frame."""

DRAIN_LIMIT = 64
"""Datagrams read per wake-up, so that a flood does not keep the loop from its timers."""

BUFFER_SIZE = 4 * 1024 * 1024
"""Bytes asked for in each direction: all viewers share them."""

UDP_SEGMENT = 103
"""Linux's `UDP_SEGMENT`, which Python does not name: a datagram's length when one send carries many."""

_SEGMENT = struct.Struct("=H")
_NO_SEGMENTATION = frozenset((errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT))
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
_PKTINFO4 = struct.Struct("=I4s4s")
_PKTINFO6 = struct.Struct("=16sI")
_ANCILLARY_SIZE = socket.CMSG_SPACE(_PKTINFO6.size) + socket.CMSG_SPACE(_PKTINFO4.size)


class UdpPath(Path):
    """A viewer's UDP address, and ours on which it reached us.

    `segmented`: whether the kernel cuts large sends on this way; not every network device lets it.
    """

    __slots__ = ("_mux", "local", "segmented")

    protocol = "udp"

    def __init__(self, remote: SocketAddress, local: ControlMessages, agent: Agent, mux: UdpMux) -> None:
        super().__init__(remote, agent)
        self.local = local
        self.segmented = True
        self._mux = mux

    @property
    def writable(self) -> bool:
        """Whether the socket's buffer, which all viewers share, has room."""
        return self._mux.writable

    def send(self, data: bytes) -> bool:
        """Send one datagram from the address the viewer knows us by."""
        return self._mux.send(data, self.local, self.remote)

    def send_segments(self, data: memoryview, stride: int) -> bool:
        """Send them in one call where the kernel can."""
        return self._mux.send_segments(data, stride, self)

    def drop(self) -> None:
        """Give the address up."""
        self.agent.paths.discard(self)
        self._mux.forget(self)


class UdpMux:
    """The socket, who has which address, and what was dropped.

    Used on the event loop only. `received`, `sent`: datagrams; `dropped`: datagrams by reason, counted with
    those of `agents`, to whom the datagrams go.
    """

    def __init__(self, sock: socket.socket, agents: Agents) -> None:
        self._socket = sock
        self._dual = sock.family == socket.AF_INET6
        self.port: int = sock.getsockname()[1]
        self.received = 0
        self.sent = 0
        self.agents = agents
        self.dropped = agents.dropped
        self._paths: dict[SocketAddress, UdpPath] = {}
        self._buffer = bytearray(MAX_DATAGRAM)
        self._view = memoryview(self._buffer)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._full = False
        self.segmentation = segmentation_works()

    @classmethod
    def bind(cls, port: int, agents: Agents) -> UdpMux:
        """Open the port on all addresses of IPv6 and IPv4, or of IPv4 where IPv6 is off.

        Args:
            port: UDP port; 0 takes any free one.
            agents: whom it is opened for.

        Raises:
            PortError: another program has the port, or we may not have it.
        """
        try:
            sock = _dual_stack_socket(port)
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENOPROTOOPT):
                raise _port_error(port, error) from error
            try:
                sock = _ipv4_socket(port)
            except OSError as second:
                raise _port_error(port, second) from second
        return cls(sock, agents)

    @property
    def ipv6(self) -> bool:
        """Whether viewers can come over IPv6."""
        return self._dual

    @property
    def path_count(self) -> int:
        """Addresses that belong to viewers now."""
        return len(self._paths)

    def start(self) -> None:
        """Begin to receive on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    def close(self) -> None:
        """Stop receiving and give the port back. Safe to call again."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._loop = None
        self._paths.clear()
        self._socket.close()

    def forget(self, path: UdpPath) -> None:
        """Take what comes from the path's address as a stranger's from now on."""
        if self._paths.get(path.remote) is path:
            del self._paths[path.remote]

    @property
    def writable(self) -> bool:
        """Whether the socket's buffer, which all viewers share, has room."""
        return not self._full

    def send_segments(self, data: memoryview, stride: int, path: UdpPath) -> bool:
        """Send datagrams of `stride` bytes, the last may be shorter, in one call where the kernel can.

        What the network refuses is lost, as on any network. False: the buffer is full and nothing was sent.
        """
        size = len(data)
        if size > stride and self.segmentation and path.segmented:
            option = (socket.SOL_UDP, UDP_SEGMENT, _SEGMENT.pack(stride))
            try:
                self._socket.sendmsg((data,), [*path.local, option], 0, path.remote)
            except BlockingIOError:
                self._wait_for_room()
                return False
            except OSError as error:
                if error.errno not in _NO_SEGMENTATION:
                    self._count_error(error)
                    return True
                path.segmented = False
                log.info("this way takes no segmented sends", errno=errno.errorcode.get(error.errno or 0))
            else:
                self.sent += -(-size // stride)
                return True
        for start in range(0, size, stride):
            try:
                self._socket.sendmsg((data[start : start + stride],), path.local, 0, path.remote)
            except BlockingIOError:
                self._wait_for_room()
                return start > 0
            except OSError as error:
                self._count_error(error)
            else:
                self.sent += 1
        return True

    def _wait_for_room(self) -> None:
        self.dropped["send_buffer_full"] += 1
        if self._loop is not None and not self._full:
            self._full = True
            self._loop.add_writer(self._socket, self._room_again)

    def _room_again(self) -> None:
        self._full = False
        if self._loop is not None:
            self._loop.remove_writer(self._socket)

    def _count_error(self, error: OSError) -> None:
        """Count what the network refuses; consent decides when to give the viewer up."""
        self.dropped["send_" + errno.errorcode.get(error.errno or 0, "error").lower()] += 1

    def send(self, data: bytes, local: ControlMessages, remote: SocketAddress) -> bool:
        """Send one datagram from one of our addresses; False if the system did not take it."""
        try:
            self._socket.sendmsg((data,), local, 0, remote)
        except BlockingIOError:
            self._wait_for_room()
            return False
        except OSError as error:
            self._count_error(error)
            return False
        self.sent += 1
        return True

    def _readable(self) -> None:
        for _ in range(DRAIN_LIMIT):
            if self._loop is None:  # closed by what the last datagram led to
                return
            try:
                size, ancillary, flags, remote = self._socket.recvmsg_into((self._buffer,), _ANCILLARY_SIZE)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning(
                    "receiving on the media port failed", port=self.port, error=os.strerror(error.errno or 0)
                )
                return
            self.received += 1
            if size == 0 or flags & socket.MSG_TRUNC:
                self.dropped["size"] += 1
                continue
            first = self._buffer[0]
            if first < 4:
                self._stun(size, ancillary, remote)
            elif (path := self._paths.get(remote)) is None:
                self.dropped["unknown_address"] += 1
            elif 20 <= first <= 63 or 128 <= first <= 191:  # DTLS, SRTP and SRTCP: RFC 7983 §7
                path.agent.data_received(path, self._view[:size])
            else:
                self.dropped["unknown_protocol"] += 1

    def _stun(self, size: int, ancillary: list[tuple[int, int, bytes]], remote: SocketAddress) -> None:
        path = self._paths.get(remote)
        admitted = self.agents.admit(self._view[:size], remote, path)
        if admitted is None:
            return
        agent, check = admitted.agent, admitted.check
        local = self._local(ancillary)
        if path is None or path.agent is not agent:
            path = self._new_path(remote, local, agent)
        elif check.use_candidate or path is not agent.selected:
            path.local = local
        agent.check_received(path, check)
        self.send(binding_success(check.transaction_id, plain(remote), admitted.key), local, remote)

    def _new_path(self, remote: SocketAddress, local: ControlMessages, agent: Agent) -> UdpPath:
        """Give the address to the agent; one that had it before (a NAT reuses ports) has lost it."""
        if (taken := self._paths.get(remote)) is not None:
            taken.drop()
        make_room(agent)
        path = self._paths[remote] = UdpPath(remote, local, agent, self)
        agent.paths.add(path)
        return path

    def _local(self, ancillary: list[tuple[int, int, bytes]]) -> ControlMessages:
        """Turn "it came to this address of ours" into "send from this address of ours"."""
        for level, kind, data in ancillary:
            if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO and len(data) >= _PKTINFO6.size:
                address, interface = _PKTINFO6.unpack_from(data)
                # Only a link-local address means nothing without its interface.
                scoped = interface if address[0] == 0xFE and address[1] & 0xC0 == 0x80 else 0
                return [(level, kind, _PKTINFO6.pack(address, scoped))]
            if level == socket.IPPROTO_IP and kind == IP_PKTINFO and len(data) >= _PKTINFO4.size:
                _, specific, _ = _PKTINFO4.unpack_from(data)
                return [(level, kind, _PKTINFO4.pack(0, specific, b"\0\0\0\0"))]
        return []


def segmentation_works() -> bool:
    """Try whether this kernel cuts one send into datagrams: some that do not take the option in silence."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        try:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(0.2)
            option = (socket.SOL_UDP, UDP_SEGMENT, _SEGMENT.pack(2))
            sender.sendmsg((b"abc",), [option], 0, receiver.getsockname())
            return [receiver.recv(16), receiver.recv(16)] == [b"ab", b"c"]
        except OSError:
            return False


def plain(remote: SocketAddress) -> tuple[str, int]:
    """Return address and port as the viewer would write them: IPv4 behind a dual-stack socket is IPv4."""
    host = remote[0].partition("%")[0]
    if host.startswith("::ffff:"):
        mapped = ipaddress.IPv6Address(host).ipv4_mapped
        host = str(mapped) if mapped is not None else host
    return host, remote[1]


def _dual_stack_socket(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        _enlarge_buffers(sock)
        sock.bind(("::", port))
    except OSError:
        sock.close()
        raise
    return sock


def _ipv4_socket(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        _enlarge_buffers(sock)
        sock.bind(("0.0.0.0", port))  # noqa: S104 viewers come from everywhere
    except OSError:
        sock.close()
        raise
    return sock


def _enlarge_buffers(sock: socket.socket) -> None:
    """Ask for big buffers: beyond the system's limit where we may, else up to it."""
    for forced, option in ((33, socket.SO_RCVBUF), (32, socket.SO_SNDBUF)):  # SO_RCVBUFFORCE, SO_SNDBUFFORCE
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER_SIZE)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_SIZE)


def _port_error(port: int, error: OSError) -> PortError:
    if error.errno == errno.EADDRINUSE:
        return PortError(
            f"webrtc.udpmux: UDP port {port} is in use by another program; "
            "stop that program, choose another port, or 0 for any free one"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return PortError(f"webrtc.udpmux: we may not open UDP port {port}; choose one above 1023")
    return PortError(f"webrtc.udpmux: UDP port {port} cannot be opened: {os.strerror(error.errno or 0)}")
