"""What the lifecycle needs of the network."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from hostagent.instances.model import Addresses, InstanceId, InstanceSpec


class Network(Protocol):
    """Addresses, links, rules. Everything is idempotent: it is run again when the agent starts."""

    async def start(self) -> None:
        """Make the tables and turn connection tracking on; raises HostError naming what is missing."""

    def allocate(self, instance: InstanceId, taken: list[Addresses]) -> Addresses:
        """Return addresses nobody in `taken` has."""

    async def attach(self, instance: InstanceId, spec: InstanceSpec, addresses: Addresses) -> None:
        """Make namespace, cable, routes, set members and published ports where they are missing."""

    async def detach(self, instance: InstanceId, addresses: Addresses) -> None:
        """Remove all of it."""

    async def teardown(self) -> None:
        """Remove every table, link and namespace this agent made on the host."""


@dataclass(frozen=True, slots=True)
class WakePacket:
    """What is known of a packet to a sleeping instance; the fields that the packet does not have are None."""

    destination: IPv4Address | IPv6Address
    """The instance's address."""
    source: IPv4Address | IPv6Address | None = None
    """None where only the kernel's counter tells that something came."""
    protocol: int | None = None
    """The number of RFC 790: 6 for TCP, 17 for UDP, 1 and 58 for ICMP."""
    source_port: int | None = None
    destination_port: int | None = None


WakeCallback = Callable[[InstanceId, WakePacket], None]
"""Called on the loop for packets to a trapped instance: at once for the first, perhaps for others. Never
blocks.
"""


class WakeTrap(Protocol):
    """Sees packets to sleeping instances."""

    async def start(
        self, on_packet: WakeCallback, on_arrival: Callable[[InstanceId], None] | None = None
    ) -> None:
        """Listen; after `Network.start`. What came while no agent listened calls back in `install`.

        `on_arrival` comes first, before anything but whom a packet is for is known: to thaw at once.
        """

    async def stop(self) -> None:
        """Listen no longer; the kernel counts packets for the next start."""

    async def settle(self) -> None:
        """Forget whoever was trapped by an agent before this one and was not installed again: they are
        awake.
        """

    async def install(self, instance: InstanceId, addresses: Addresses, *, hold: bool) -> None:
        """From the return on, any packet to the addresses calls back; with `hold` it waits in the kernel
        until `release` (for instances that do not run), else it goes on to them. May be called again, also
        with another `hold`.
        """

    async def remove(self, instance: InstanceId) -> None:
        """Watch no longer; what is held is let go. Nothing happens when there is no trap."""

    async def release(self, instance: InstanceId) -> None:
        """Let held packets go on, and those to come: the instance answers again. `remove` is still due."""

    def held(self, instance: InstanceId) -> list[WakePacket]:
        """Return the packets that wait, oldest first: they name the ports somebody wants to reach."""
