"""The kernel's sets of trapped addresses; every change is one transaction inside this process (0.1 ms)."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from hostagent.network import rules
from hostagent.network.nft import Nft

Address = IPv4Address | IPv6Address
SetName = Literal["sleeping", "stopped", "full"]


class TrapSets:
    """The sets that `hostagent.network.rules` makes."""

    def __init__(self, nft: Nft) -> None:
        """Work on that table."""
        self._nft = nft

    def put(self, addresses: Iterable[Address], name: SetName) -> None:
        """Have each in this set and in none of the others that exclude it; counters of those in it go on."""
        others: tuple[SetName, ...] = ("sleeping",) if name == "stopped" else ("stopped", "full")
        commands = []
        for address in addresses:
            commands.append(rules.add(f"{name}{address.version}", [str(address)]))
            commands += [rules.take_out(f"{other}{address.version}", str(address)) for other in others]
        self._nft.run("\n".join(commands))

    def fill(self, address: Address) -> None:
        """Have the kernel drop what else comes for it."""
        self._nft.run(rules.add(f"full{address.version}", [str(address)]))

    def take_out(self, addresses: Iterable[Address], *names: SetName) -> None:
        """Remove them from these sets, whether they are there or not."""
        commands = [
            rules.take_out(f"{name}{address.version}", str(address))
            for address in addresses
            for name in names
        ]
        if commands:
            self._nft.run("\n".join(commands))

    def counters(self, *names: SetName) -> Iterator[tuple[Address, int]]:
        """Yield each address in the sets, and how many packets were counted for it (4 ms for 1,000)."""
        for name in names:
            for version in (4, 6):
                for element in self._nft.list_elements(rules.TABLE, f"{name}{version}"):
                    if isinstance(element, dict) and isinstance(inner := element.get("elem"), dict):
                        value, counter = inner.get("val"), inner.get("counter")
                        packets = counter.get("packets") if isinstance(counter, dict) else 0
                        yield ip_address(str(value)), packets if isinstance(packets, int) else 0
