"""When an answer has left: the output of one connection, in this process and in the kernel.

`write()` only hands an answer to the kernel. It has left when the peer's machine has acknowledged it, which
the kernel counts for each socket (tcp(7): SIOCOUTQ, bytes that are not sent or not acknowledged; a FIN counts
as one).
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Callable

from streamserver.plugins.client_connection import ClientConnection

FIRST_LOOK = 0.001
"""Seconds from the end of the handler to the first look; doubled each time."""
LONGEST_PAUSE = 0.1
"""Seconds that the pause between two looks grows to."""

TCP_CLOSE = 7
"""State of a socket whose connection is over (include/net/tcp_states.h): closed, reset or given up."""
LINGER_0 = struct.pack("ii", 1, 0)
"""SO_LINGER with which closing throws output away and resets the connection (socket(7))."""


class Output(enum.Enum):
    """What is known of a connection's output."""

    GONE = enum.auto()
    """All of it was acknowledged, or the connection is over."""
    WAITS = enum.auto()
    UNKNOWN = enum.auto()
    """The kernel does not say."""


class SendQueue:
    """Watches the output of one connection, until `close`.

    Has its own handle on the socket, because the server closes its handle while the kernel still sends.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._socket: socket.socket | None = None
        self._forget: Callable[[], None] | None = None
        with contextlib.suppress(OSError):
            self._socket = connection.duplicate()
            self._forget = connection.on_closed(self._finish)

    def look(self) -> Output:
        """Say whether the output has left."""
        if self._socket is None:
            return Output.UNKNOWN
        try:
            if tcp_state(self._socket) == TCP_CLOSE:
                return Output.GONE
            waits = self._connection.unsent or unacknowledged(self._socket)
        except OSError:
            return Output.UNKNOWN
        return Output.WAITS if waits else Output.GONE

    def abort(self) -> None:
        """Reset the connection; what has not left is lost. `close` follows."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        self._connection.abort()

    def close(self) -> None:
        """Watch no more."""
        if self._forget is not None:
            self._forget()
            self._forget = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _finish(self) -> None:
        """Tell the peer that nothing follows, as the server's closing would have without our handle."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)


class Drain:
    """Waits until the output of a connection has left: one timer, no task."""

    def __init__(self, queue: SendQueue, deadline: float, ended: Callable[[Output], None]) -> None:
        """Begin to look, but not at once: an answer to an exception is written after we have been told.

        Args:
            queue: what is looked at.
            deadline: when to stop; seconds of the loop's clock.
            ended: called once with how it was then, unless `cancel` comes first.
        """
        self._queue = queue
        self._deadline = deadline
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._pause = FIRST_LOOK
        self._timer = self._loop.call_later(self._pause, self._look)

    def cancel(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        output = self._queue.look()
        left = self._deadline - self._loop.time()
        if output is Output.GONE or left <= 0:
            self._ended(output)
            return
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._timer = self._loop.call_later(min(self._pause, left), self._look)


def unacknowledged(connection: socket.socket) -> int:
    """Return the bytes that the kernel has not sent, or that have not been acknowledged. Raises `OSError`."""
    # SIOCOUTQ has the number of TIOCOUTQ (tcp(7))
    answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int.from_bytes(answer, sys.byteorder)


def tcp_state(connection: socket.socket) -> int:
    """Return the state of a TCP socket, the first byte of `struct tcp_info` (tcp(7)). Raises `OSError`."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
