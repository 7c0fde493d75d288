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
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from streamserver.logs import get_logger

from .errors import PortError
from .stun import BINDING_SUCCESS, Check, IntegrityKey, binding_success, parse_check

log = get_logger("webrtc")

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
"""A source or destination as the socket module gives it: IPv4, or IPv6 with flow label and scope."""

ControlMessages = list[tuple[int, int, bytes]]
"""Ancillary data of `sendmsg`: from which of our addresses to send."""

MAX_DATAGRAM = 2048
"""Bytes; nothing a viewer sends is larger than an Ethernet frame."""

DRAIN_LIMIT = 64
"""Datagrams read per wake-up, so that a flood does not keep the loop from its timers."""

BUFFER_SIZE = 4 * 1024 * 1024
"""Bytes asked for in each direction: all viewers share them."""

MAX_PATHS = 16
"""Addresses one viewer may have in use; a further one replaces the one that was silent longest."""

UDP_SEGMENT = 103
"""Linux's `UDP_SEGMENT`, which Python does not name: a datagram's length when one send carries many."""

_SEGMENT = struct.Struct("=H")
_NO_SEGMENTATION = frozenset((errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT))
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
_PKTINFO4 = struct.Struct("=I4s4s")
_PKTINFO6 = struct.Struct("=16sI")
_ANCILLARY_SIZE = socket.CMSG_SPACE(_PKTINFO6.size) + socket.CMSG_SPACE(_PKTINFO4.size)


@dataclass(slots=True, eq=False)
class Path:
    """A way to one viewer: its address, ours on which it reached us, and whose it is.

    `segmented`: whether the kernel cuts large sends on this way; not every network device lets it.
    """

    remote: SocketAddress
    local: ControlMessages
    agent: Agent
    checked_at: float = 0.0
    segmented: bool = True


class Agent(Protocol):
    """The owner of a user name fragment: one viewer's ICE-lite end."""

    paths: dict[SocketAddress, Path]

    @property
    def selected(self) -> Path | None:
        """The path that media goes out on."""

    def accepts(self, check: Check, remote: SocketAddress) -> bool:
        """Whether an authenticated check is not one that somebody recorded and sends again."""

    def check_received(self, path: Path, check: Check) -> None:
        """Note an authenticated and accepted check on a path."""

    def answer_received(self, path: Path, answer: Check) -> None:
        """Note an answer to a check of our own, not yet authenticated."""

    def data_received(self, path: Path, data: bytes) -> None:
        """Take a datagram of DTLS, SRTP or SRTCP."""


class UdpMux:
    """The socket, who has which address, and what was dropped.

    Used on the event loop only. `received`, `sent`: datagrams; `dropped`: datagrams by reason.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._dual = sock.family == socket.AF_INET6
        self.port: int = sock.getsockname()[1]
        self.received = 0
        self.sent = 0
        self.dropped: Counter[str] = Counter()
        self._agents: dict[bytes, tuple[Agent, IntegrityKey]] = {}
        self._paths: dict[SocketAddress, Path] = {}
        self._buffer = bytearray(MAX_DATAGRAM)
        self._view = memoryview(self._buffer)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._full = False
        self.segmentation = segmentation_works()

    @classmethod
    def bind(cls, port: int) -> UdpMux:
        """Open the port on all addresses of IPv6 and IPv4, or of IPv4 where IPv6 is off.

        Args:
            port: UDP port; 0 takes any free one.

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
        return cls(sock)

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
        self._agents.clear()
        self._paths.clear()
        self._socket.close()

    def register(self, ufrag: str, key: IntegrityKey, agent: Agent) -> None:
        """Let checks for that user name fragment, signed with that key, go to the agent."""
        self._agents[ufrag.encode()] = (agent, key)

    def unregister(self, ufrag: str) -> None:
        """Let checks for that user name fragment be dropped again."""
        self._agents.pop(ufrag.encode(), None)

    def knows(self, ufrag: str) -> bool:
        """Whether somebody has that user name fragment."""
        return ufrag.encode() in self._agents

    def forget(self, agent: Agent) -> None:
        """Drop all paths of the agent."""
        for remote in agent.paths:
            if (path := self._paths.get(remote)) is not None and path.agent is agent:
                del self._paths[remote]
        agent.paths.clear()

    def send(self, data: bytes, path: Path) -> bool:
        """Send one datagram from the address the viewer knows us by; False if the system did not take it."""
        return self._send(data, path.local, path.remote)

    @property
    def writable(self) -> bool:
        """Whether the socket's buffer, which all viewers share, has room."""
        return not self._full

    def send_segments(self, data: memoryview, stride: int, path: Path) -> bool:
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

    def _send(self, data: bytes, local: ControlMessages, remote: SocketAddress) -> bool:
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
                path.agent.data_received(path, bytes(self._view[:size]))
            else:
                self.dropped["unknown_protocol"] += 1

    def _stun(self, size: int, ancillary: list[tuple[int, int, bytes]], remote: SocketAddress) -> None:
        message = self._view[:size]
        check = parse_check(message)
        if check is None:
            self._stun_answer(message, remote)
            return
        registered = self._agents.get(check.local_ufrag)
        if registered is None:
            self.dropped["unknown_ufrag"] += 1
            return
        agent, key = registered
        if not check.authentic(key):
            self.dropped["bad_integrity"] += 1
            return
        if not agent.accepts(check, remote):
            self.dropped["replayed"] += 1
            return
        local = self._local(ancillary)
        path = self._paths.get(remote)
        if path is None or path.agent is not agent:
            path = self._new_path(remote, local, agent)
        elif check.use_candidate or path is not agent.selected:
            path.local = local
        agent.check_received(path, check)
        answer = binding_success(check.transaction_id, _plain(remote), key)
        self._send(answer, local, remote)

    def _stun_answer(self, message: memoryview, remote: SocketAddress) -> None:
        path = self._paths.get(remote)
        answer = parse_check(message, BINDING_SUCCESS) if path is not None else None
        if path is None or answer is None:
            self.dropped["bad_stun"] += 1
        else:
            path.agent.answer_received(path, answer)

    def _new_path(self, remote: SocketAddress, local: ControlMessages, agent: Agent) -> Path:
        """Give the address to the agent; one that had it before (a NAT reuses ports) has lost it."""
        if (taken := self._paths.get(remote)) is not None:
            taken.agent.paths.pop(remote, None)
        if len(agent.paths) >= MAX_PATHS:
            idle = (path for path in agent.paths.values() if path is not agent.selected)
            oldest = min(idle, key=lambda path: path.checked_at)
            del agent.paths[oldest.remote]
            del self._paths[oldest.remote]
        path = Path(remote, local, agent)
        agent.paths[remote] = self._paths[remote] = path
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


def _plain(remote: SocketAddress) -> tuple[str, int]:
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
