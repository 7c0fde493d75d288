"""Whether a service listens, by the kernel's tables of its network namespace: no packet is sent."""

import asyncio
import time
from collections.abc import Collection, Iterable
from pathlib import Path

LISTEN = "0A"
"""TCP_LISTEN in /proc/PID/net/tcp."""
_FIRST_LOOK, _LONGEST_PAUSE = 0.005, 0.1


def listening_ports(table: str, *, tcp: bool) -> set[int]:
    """Return the ports of a /proc/PID/net/{tcp,tcp6,udp,udp6} that are listened on (UDP: bound)."""
    ports: set[int] = set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and (not tcp or fields[3] == LISTEN):
            ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def read_ports(pid: int) -> set[tuple[str, int]]:
    """Return (protocol, port) of all services in the network namespace of a process; raises OSError."""
    found: set[tuple[str, int]] = set()
    for name in ("tcp", "tcp6", "udp", "udp6"):
        table = Path(f"/proc/{pid}/net/{name}")
        if name.endswith("6") and not table.exists():
            continue
        protocol = name[:3]
        ports = listening_ports(table.read_text(encoding="ascii"), tcp=protocol == "tcp")
        found.update((protocol, port) for port in ports)
    return found


async def wait_listening(pid: int, wanted: Collection[tuple[str, int]], within: float) -> bool:
    """Wait until something listens on any of the wanted (protocol, port); False after `within` seconds.

    With nothing wanted it is True at once. False at once when the process is gone.
    """
    deadline, pause = time.monotonic() + within, _FIRST_LOOK
    while wanted:
        try:
            if _any(wanted, read_ports(pid)):
                return True
        except OSError:
            return False
        if time.monotonic() + pause > deadline:
            return False
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)
    return True


def _any(wanted: Iterable[tuple[str, int]], found: set[tuple[str, int]]) -> bool:
    return any(one in found for one in wanted)
