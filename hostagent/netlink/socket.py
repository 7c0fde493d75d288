"""A netlink socket to netfilter: ask and be answered, or listen. It belongs to the network namespace of
the thread that makes it, for good.
"""

import ctypes
import errno
import itertools
import os
import socket
import struct
import time
from collections.abc import Iterator

from hostagent.netlink.message import DONE, ERROR, Flag, Message, Subsystem, build, error_number, messages

_PROTOCOL = 12
"""NETLINK_NETFILTER."""
_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP = 1
_SO_RCVBUFFORCE = 33
_SO_ATTACH_FILTER = 26
_BUFFER = 1 << 16
"""Bytes of one read: more than the kernel's largest datagram of a dump (32 KiB)."""
_PATIENCE = 5.0
"""Seconds to wait for an answer; the kernel answers while it is asked, so nothing here ever waits this
long.
"""

Instruction = tuple[int, int, int, int]
"""One step of a classic BPF program: code, jump if true, jump if false, operand."""


class NetfilterSocket:
    """One socket; not for two threads at a time."""

    def __init__(self, receive_buffer: int) -> None:
        """Open it with room for `receive_buffer` bytes that nobody has read yet."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _PROTOCOL)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.bind((0, 0))
        self._sequence = itertools.count(int(time.time()) & 0x7FFFFFFF)
        self._room = bytearray(_BUFFER)
        self._view = memoryview(self._room)

    def fileno(self) -> int:
        """Return the descriptor, to wait for it."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close it; the kernel forgets what was configured through it."""
        self._socket.close()

    def attach_filter(self, program: list[Instruction]) -> None:
        """Let the kernel drop what the program refuses before it costs a wake-up."""
        packed = b"".join(struct.pack("=HBBI", *step) for step in program)
        code = ctypes.create_string_buffer(packed, len(packed))
        self._socket.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code))
        )

    def join(self, *groups: int) -> None:
        """Listen to the events of these groups, and never wait in `receive` from now on."""
        for group in groups:
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        self._socket.setblocking(False)

    def listen(self) -> None:
        """Never wait in `receive` from now on."""
        self._socket.setblocking(False)

    def send(self, message: bytes) -> None:
        """Send one message without waiting for an answer."""
        self._socket.send(message)

    def receive(self) -> memoryview | None:
        """Return what came, valid until the next call; None when nothing is there.

        Raises OSError with ENOBUFS when the kernel had to throw messages away since the last call.
        """
        try:
            size = self._socket.recv_into(self._room)
        except BlockingIOError:
            return None
        return self._view[:size]

    def ask(
        self,
        subsystem: Subsystem,
        command: int,
        attributes: bytes = b"",
        *,
        family: int = 0,
        resource: int = 0,
    ) -> None:
        """Send a command and wait for the kernel's yes; raises OSError with its answer."""
        sequence = next(self._sequence) & 0xFFFFFFFF
        self._socket.settimeout(_PATIENCE)
        self.send(build(subsystem, command, Flag.ACK, sequence, attributes, family=family, resource=resource))
        for data, message in self._answers(sequence):
            if message.kind == ERROR:
                if number := error_number(data, message):
                    raise OSError(number, os.strerror(number))
                return

    def dump(
        self, subsystem: Subsystem, command: int, attributes: bytes = b"", *, family: int = 0
    ) -> Iterator[tuple[memoryview, Message]]:
        """Yield the messages of a dump; each is valid until the next one is asked for. Must be read to its
        end.
        """
        sequence = next(self._sequence) & 0xFFFFFFFF
        self._socket.settimeout(_PATIENCE)
        self.send(build(subsystem, command, Flag.DUMP, sequence, attributes, family=family))
        for data, message in self._answers(sequence):
            if message.kind in (ERROR, DONE):
                if number := error_number(data, message):
                    raise OSError(number, os.strerror(number))
                return
            if message.flags & Flag.DUMP_INTERRUPTED:
                raise InterruptedError(errno.EINTR, "the table changed while it was dumped")
            yield data, message

    def _answers(self, sequence: int) -> Iterator[tuple[memoryview, Message]]:
        while True:
            data = self.receive()
            if data is None:
                raise TimeoutError(errno.ETIMEDOUT, "netfilter does not answer")
            for message in messages(data):
                if message.sequence == sequence:
                    yield data, message
