"""What goes over the cable of a namespace, packet by packet."""

import contextlib
import socket
from types import TracebackType
from typing import Self

import psutil

from tests.network import Namespace

ETH_P_IP = 0x0800


class Tap:
    """Counts the IPv4 packets over the cable, in both directions (ARP and the like are not ours to send)."""

    def __init__(self, namespace: Namespace) -> None:
        cable = next(
            name
            for name, addresses in psutil.net_if_addrs().items()
            if any(address.address == namespace.gateway for address in addresses)
        )
        # without a protocol it hears nothing before it is bound; with one it would hear every interface
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind((cable, ETH_P_IP))
        self._socket.setblocking(False)
        self.packets: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def look(self) -> list[str]:
        """Return every packet so far as "PROTOCOL FROM > TO"."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.packets.append(_described(self._socket.recv(65535)))
        return self.packets

    def forget(self) -> None:
        """Count anew."""
        self.look()
        self.packets.clear()


def _described(packet: bytes) -> str:
    length = (packet[0] & 15) * 4
    addresses = [socket.inet_ntoa(packet[at : at + 4]) for at in (12, 16)]
    ports = [int.from_bytes(packet[length + at : length + at + 2], "big") for at in (0, 2)]
    protocol = {6: "TCP", 17: "UDP"}.get(packet[9], str(packet[9]))
    return f"{protocol} {addresses[0]}:{ports[0]} > {addresses[1]}:{ports[1]}"
