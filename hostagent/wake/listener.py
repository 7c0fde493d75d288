"""A socket on the loop to which the kernel tells of packets."""

import asyncio
import errno
from collections.abc import Callable

from hostagent.errors import HostError
from hostagent.logs import get_logger
from hostagent.netlink.socket import NetfilterSocket

log = get_logger("wake")

_BUFFER = 8 << 20
"""Bytes of packets not yet read; one takes some 4 KiB there."""
_BATCH = 64
"""Messages read before others on the loop have their turn."""


class TrapError(HostError):
    """The kernel does not tell us of packets."""


class Listener:
    """Reads whenever something is there."""

    def __init__(self, on_data: Callable[[memoryview], None], on_overrun: Callable[[], None]) -> None:
        """`on_overrun` when the kernel threw messages away because we were too slow."""
        self._on_data = on_data
        self._on_overrun = on_overrun
        self.socket: NetfilterSocket | None = None

    def start(self, what: str, number: int, bind: Callable[[NetfilterSocket, int], None]) -> None:
        """Open it in the network namespace of this thread; raises TrapError when the kernel refuses."""
        sock = NetfilterSocket(_BUFFER)
        try:
            bind(sock, number)
        except OSError as error:
            sock.close()
            raise TrapError(
                f"netfilter's {what} {number} cannot be listened to: {error.strerror}; another agent in this "
                f"network namespace has it, or this kernel cannot do it, or we are not root"
            ) from error
        sock.listen()
        self.socket = sock
        asyncio.get_running_loop().add_reader(sock.fileno(), self._read)

    def stop(self) -> None:
        """Close it; nothing happens when it is closed."""
        if self.socket is not None:
            asyncio.get_running_loop().remove_reader(self.socket.fileno())
            self.socket.close()
            self.socket = None

    def _read(self) -> None:
        for _ in range(_BATCH):
            if self.socket is None:
                return
            try:
                data = self.socket.receive()
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    self._on_overrun()
                else:
                    log.error("packets cannot be read", error=str(error))
                return
            if data is None:
                return
            self._on_data(data)
