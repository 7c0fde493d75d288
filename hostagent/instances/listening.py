"""Whether a service listens, by the kernel's tables of its network namespace: no packet is sent."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from hostagent.instances.registry import Instance

LISTEN = "0A"
"""TCP_LISTEN in /proc/PID/net/tcp."""
_FIRST_LOOK, _LONGEST_PAUSE = 0.005, 0.1


Service = tuple[str, int]
"""A protocol (`tcp`, `udp`) and a port."""


def listening_ports(table: str, *, tcp: bool) -> dict[int, bool]:
    """Return the ports of a /proc/PID/net/{tcp,tcp6,udp,udp6} that are listened on (UDP: bound).

    The value tells whether callers from elsewhere reach it; on a loopback address they do not.
    """
    ports: dict[int, bool] = {}
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and (not tcp or fields[3] == LISTEN):
            address, _, port = fields[1].rpartition(":")
            number = int(port, 16)
            ports[number] = ports.get(number, False) or not _is_loopback(address)
    return ports


def _is_loopback(address: str) -> bool:
    """Tell it of an address as the kernel writes it: words of the machine's byte order, in hexadecimal."""
    found = ip_address(b"".join(bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)))
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback


def read_ports(pid: int) -> dict[Service, bool]:
    """Return the services in the network namespace of a process, and whether callers from elsewhere reach
    them; raises OSError.
    """
    found: dict[Service, bool] = {}
    for name in ("tcp", "tcp6", "udp", "udp6"):
        table = Path(f"/proc/{pid}/net/{name}")
        if name.endswith("6") and not table.exists():
            continue
        protocol = name[:3]
        for port, reached in listening_ports(
            table.read_text(encoding="ascii"), tcp=protocol == "tcp"
        ).items():
            found[protocol, port] = found.get((protocol, port), False) or reached
    return found


async def wait_until_up(instance: Instance, within: float) -> dict[Service, bool]:
    """Wait until all published ports are listened on, its command has ended, or so many seconds are over.

    Without published ports only the command's end is waited for. Returns what is listened on then.
    """
    wanted = {(port.protocol, port.instance_port) for port in instance.record.spec.ports}
    deadline, pause, found = time.monotonic() + within, _FIRST_LOOK, dict[Service, bool]()
    while (process := instance.record.process) is not None:
        with contextlib.suppress(OSError):  # it ends: its record says so in a moment
            found = await asyncio.to_thread(read_ports, process.pid)
        if (wanted and wanted <= found.keys()) or time.monotonic() + pause > deadline:
            return found
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)
    return {}


async def wait_listening(pid: int, wanted: Callable[[], Collection[Service]], within: float) -> bool:
    """Wait until something listens on any of the wanted services; False after `within` seconds.

    `wanted` is asked at every look, as more callers may come. With nothing wanted it is True at once. False
    at once when the process is gone.
    """
    deadline, pause = time.monotonic() + within, _FIRST_LOOK
    while services := wanted():
        try:
            if not read_ports(pid).keys().isdisjoint(services):
                return True
        except OSError:
            return False
        if time.monotonic() + pause > deadline:
            return False
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)
    return True
