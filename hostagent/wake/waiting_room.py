"""Packets that wait in the kernel for instances that do not run: how many, and for how long. Pure."""

from collections import deque
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from hostagent.network.contract import WakePacket

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Waiting:
    """One packet that waits."""

    number: int
    """What the kernel calls it."""
    packet: WakePacket
    until: float
    """The moment it is given up, by the clock that `admit` was given."""


class WaitingRoom:
    """At most `most` packets per instance's address, each at most `deadline` seconds."""

    def __init__(self, most: int, deadline: float) -> None:
        """Begin empty."""
        self._most = most
        self._deadline = deadline
        self._waiting: dict[Address, deque[Waiting]] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return sum(map(len, self._waiting.values()))

    def admit(self, number: int, packet: WakePacket, now: float) -> bool:
        """Let a packet wait; False when as many wait for its destination as may."""
        if self.is_full(packet.destination):
            return False
        line = self._waiting.setdefault(packet.destination, deque())
        line.append(Waiting(number, packet, now + self._deadline))
        return True

    def is_full(self, address: Address) -> bool:
        """Tell whether the next one would be refused."""
        return len(self._waiting.get(address, ())) >= self._most

    def leave(self, address: Address) -> list[Waiting]:
        """Take all packets to an address out, oldest first."""
        return list(self._waiting.pop(address, ()))

    def clear(self) -> None:
        """Forget all: the kernel has dropped them."""
        self._waiting.clear()

    def give_up(self, now: float) -> list[Waiting]:
        """Take out those that waited too long."""
        late = []
        for address in list(self._waiting):
            line = self._waiting[address]
            while line and line[0].until <= now:
                late.append(line.popleft())
            if not line:
                del self._waiting[address]
        return late

    def next_deadline(self) -> float | None:
        """Return the moment at which the next one is late, None when nobody waits."""
        return min((line[0].until for line in self._waiting.values()), default=None)

    def packets(self, address: Address) -> list[WakePacket]:
        """Return who waits for an address, oldest first."""
        return [waiting.packet for waiting in self._waiting.get(address, ())]
