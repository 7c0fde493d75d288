"""A host to test on: the network of its own that every run of the tests has, with another host next to it."""

import itertools
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import pytest

from hostagent.instances.model import InstanceId
from hostagent.network import namespaces
from hostagent.network.addressing import Pool

T = TypeVar("T")

POOL = Pool(IPv4Network("10.211.0.0/16"), IPv6Network("fd7a:ca7:a9::/64"), 1_879_000_000, 65_536)
_numbers = itertools.count(1)
Kind = str
"""`tcp` or `udp`."""


def require_own_network() -> None:
    """Skip where tests would change the machine's own rules."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes network namespaces")
    # conftest moved us away from the network of whoever started us, if it could
    if Path("/proc/self/ns/net").readlink() == Path(f"/proc/{os.getppid()}/ns/net").readlink():
        pytest.skip("this machine lets nobody make a network namespace (unshare)")


def new_id() -> InstanceId:
    """Return an id nobody else has, on the whole machine: namespaces are named after it."""
    return InstanceId(f"t{os.getpid():010d}{next(_numbers):06d}{os.urandom(4).hex()[:7]}")


def ip(*arguments: str) -> None:
    """Run iproute2."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Outside:
    """Another host, `10.98.N.2` and `fd98:N::2`, with a route to the instances through us (`.1`, `::1`)."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.name = f"cnout-{os.getpid()}-{self.number}"
        self.cable = f"cnout{self.number}"
        self.ipv4 = f"10.98.{self.number}.2"
        self.gateway4 = f"10.98.{self.number}.1"
        self.ipv6 = f"fd98:{self.number:x}::2"
        self.gateway6 = f"fd98:{self.number:x}::1"

    def __enter__(self) -> Self:
        namespaces.create(self.name)
        try:
            ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            ip("addr", "add", f"{self.gateway4}/24", "dev", self.cable)
            ip("addr", "add", f"{self.gateway6}/64", "dev", self.cable, "nodad")
            ip("link", "set", self.cable, "up")
            inside = ("-n", self.name)
            ip(*inside, "addr", "add", f"{self.ipv4}/24", "dev", "eth0")
            ip(*inside, "addr", "add", f"{self.ipv6}/64", "dev", "eth0", "nodad")
            ip(*inside, "link", "set", "eth0", "up")
            ip(*inside, "link", "set", "lo", "up")
            ip(*inside, "route", "add", "10.211.0.0/16", "via", self.gateway4)
            ip(*inside, "route", "add", "fd7a:ca7:a9::/64", "via", self.gateway6)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["ip", "link", "del", self.cable], check=False, capture_output=True)
        namespaces.remove(self.name)

    def run(self, function: Callable[[], T]) -> T:
        """Run something there."""
        return namespaces.run(self.name, function)


def made(kind: Kind, host: str) -> socket.socket:
    """Return a socket fit to reach or to be `host`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)


@contextmanager
def served(namespace: str, kind: Kind, port: int) -> Iterator[None]:
    """Serve a port of a namespace, IPv4 and IPv6: whoever comes is told the address it comes from."""

    def make() -> socket.socket:
        sock = made(kind, "::")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("::", port))
        if kind == "tcp":
            sock.listen(64)
        return sock

    sock = namespaces.run(namespace, make)

    def serve() -> None:
        with suppress(OSError):
            while True:
                if kind == "tcp":
                    connection, caller = sock.accept()
                    threading.Thread(target=_answer, args=(connection, caller[0]), daemon=True).start()
                else:
                    _, caller = sock.recvfrom(2048)
                    if not caller:
                        return
                    sock.sendto(caller[0].removeprefix("::ffff:").encode(), caller)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()
        if kind == "tcp":
            thread.join(5)


def _answer(connection: socket.socket, caller: str) -> None:
    with suppress(OSError), connection:
        while connection.recv(2048):
            connection.sendall(caller.removeprefix("::ffff:").encode())


def call(kind: Kind, host: str, port: int, within: float = 15.0) -> str:
    """Ask a `served` port who we are; raises OSError when nobody answers."""
    with made(kind, host) as sock:
        sock.settimeout(within)
        sock.connect((host, port))
        sock.send(b"who am I?")
        return sock.recv(100).decode()
