"""A network namespace joined to this machine by one cable that a test can pull."""

import ctypes
import itertools
import os
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_numbers = itertools.count(1)


CLONE_NEWNET = 0x40000000


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=not check)


class Namespace:
    """A host of its own at `address`; this machine is `gateway` to it (`address6`, `gateway6`: by IPv6).
    Needs root; removed on exit."""

    def __init__(self) -> None:
        self._number = number = next(_numbers)
        self.name = f"catnap-{os.getpid()}-{number}"
        self._cable = f"cn{os.getpid() % 100000}x{number}"
        network = (
            f"10.{(os.getpid() >> 6) % 200 + 20}.{os.getpid() % 64 * 4 + number // 60}.{number % 60 * 4}"
        )
        prefix, _, last = network.rpartition(".")
        self.gateway = f"{prefix}.{int(last) + 1}"
        self.address = f"{prefix}.{int(last) + 2}"
        self.gateway6 = f"fd00:{os.getpid() & 0xFFFF:x}:{number:x}::1"
        self.address6 = f"fd00:{os.getpid() & 0xFFFF:x}:{number:x}::2"

    def __enter__(self) -> Self:
        _ip("netns", "add", self.name)
        try:
            _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            # no link-local addresses: they come a second later, and browsers call that a change of network
            _ip("link", "set", self._cable, "addrgenmode", "none")
            _ip("-n", self.name, "link", "set", "eth0", "addrgenmode", "none")
            _ip("addr", "add", f"{self.gateway}/30", "dev", self._cable)
            _ip("link", "set", self._cable, "up")
            _ip("-n", self.name, "addr", "add", f"{self.address}/30", "dev", "eth0")
            _ip("addr", "add", f"{self.gateway6}/64", "dev", self._cable, "nodad")
            _ip("-n", self.name, "addr", "add", f"{self.address6}/64", "dev", "eth0", "nodad")
            _ip("-n", self.name, "link", "set", "eth0", "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ip("link", "del", self._cable, check=False)
        _ip("netns", "del", self.name, check=False)

    def pull_cable(self) -> None:
        """Drop every packet from now on, without a word to either end."""
        _ip("link", "set", self._cable, "down")

    def plug_cable(self) -> None:
        """Let packets through again."""
        _ip("link", "set", self._cable, "up")
        _ip("addr", "replace", f"{self.gateway}/30", "dev", self._cable)

    def change_networks(self) -> None:
        """Take another IPv4 address and lose the old one, as a phone that leaves a Wi-Fi network."""
        network = f"198.18.{self._number % 256}"
        _ip("addr", "add", f"{network}.1/30", "dev", self._cable)
        _ip("-n", self.name, "addr", "add", f"{network}.2/30", "dev", "eth0")
        _ip("-n", self.name, "addr", "del", f"{self.address}/30", "dev", "eth0")
        _ip("-n", self.name, "route", "add", f"{self.gateway}/32", "via", f"{network}.1")
        self.address = f"{network}.2"

    def tcp_socket(self) -> socket.socket:
        """Return a TCP socket of the other host: whoever uses it, its packets take the cable."""
        return self._socket(socket.SOCK_STREAM)

    def udp_socket(self) -> socket.socket:
        """Return a UDP socket of the other host."""
        return self._socket(socket.SOCK_DGRAM)

    def _socket(self, kind: socket.SocketKind) -> socket.socket:
        made: list[socket.socket | OSError] = []

        def make() -> None:
            # a thread of its own: it moves to the namespace (setns(2)), and a socket stays where it was made
            libc = ctypes.CDLL(None, use_errno=True)
            with Path("/run/netns", self.name).open() as namespace:
                if libc.setns(namespace.fileno(), CLONE_NEWNET):
                    made.append(OSError(ctypes.get_errno(), f"cannot enter the namespace {self.name}"))
                else:
                    made.append(socket.socket(socket.AF_INET, kind))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]
