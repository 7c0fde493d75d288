"""Published ports: what is in the kernel's maps, and whether a program of the host has a port already."""

import errno
import socket
from collections.abc import Iterable

from hostagent.errors import NameConflictError
from hostagent.instances.model import Addresses, PublishedPort
from hostagent.network import rules
from hostagent.network.nft import Json, Nft

_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""Then no program can have the port there."""

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 (only to see whether it is free)


class PublishedPorts:
    """The maps of published ports."""

    def __init__(self, nft: Nft) -> None:
        """Work on the table that `rules.base` makes."""
        self._nft = nft

    def publish(self, ports: Iterable[PublishedPort], addresses: Addresses) -> None:
        """Make an instance's entries exactly these; raises NameConflictError when a port is taken."""
        wanted = {(one.map, one.key): one for one in rules.publications(ports, addresses)}
        own = (str(addresses.ipv4), str(addresses.ipv6))
        commands, there = [], set()
        for name in rules.MAPS:
            for key, value in self._elements(name):
                mine = value.split(" . ")[0] in own
                entry = wanted.get((name, key))
                if mine and (entry is None or entry.value != value):
                    commands.append(rules.delete(name, [key]))
                elif entry is not None and not mine:
                    raise NameConflictError(
                        f"port {entry.port.host_port}/{entry.port.protocol} of this host leads to "
                        f"the instance at {value} already; publish another one"
                    )
                elif mine:
                    there.add((name, key))
        missing = [one for place, one in wanted.items() if place not in there]
        for one in missing:
            _check_free(one.port)
        commands += [rules.add(one.map, [one.element]) for one in missing]
        if commands:
            self._nft.run("\n".join(commands))

    def _elements(self, name: str) -> list[tuple[str, str]]:
        found = []
        for element in self._nft.list_elements(rules.TABLE, name, "map"):
            if isinstance(element, list) and len(element) == 2:
                found.append((_concatenation(element[0]), _concatenation(element[1])))
        return found


def _concatenation(value: Json) -> str:
    """Write `{"concat": ["tcp", 80]}` as `tcp . 80`."""
    if isinstance(value, dict) and isinstance(parts := value.get("concat"), list):
        return " . ".join(str(part) for part in parts)
    return str(value)


def _check_free(port: PublishedPort) -> None:
    """Refuse a port that a program of this host uses: our rule would silently take its callers away."""
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    hosts = [port.host_address] if port.host_address else list(_EVERYWHERE)
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, kind) as sock:
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                if port.protocol == "tcp":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((host, port.host_port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise NameConflictError(
                    f"a program of this host uses port {port.host_port}/{port.protocol} ({host}); "
                    "publish another one, or stop that program"
                ) from error
            if error.errno not in _NO_SUCH_ADDRESS:
                raise
