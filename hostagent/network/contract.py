"""What the lifecycle needs of the network."""

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


class WakeTrap(Protocol):
    """Sees packets to sleeping instances."""

    async def install(self, instance: InstanceId, addresses: Addresses, *, hold: bool) -> None:
        """From the return on, any packet to the addresses calls back; with `hold` it waits in the kernel
        until `release` (for instances that do not run), else it goes on to them.
        """

    async def remove(self, instance: InstanceId) -> None:
        """Watch no longer; what is held is let go."""

    async def release(self, instance: InstanceId) -> None:
        """Let held packets go on: the instance answers again."""
