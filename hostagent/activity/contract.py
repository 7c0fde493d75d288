"""Observations that somebody uses an instance, whatever they come from."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, Protocol

from hostagent.instances.model import InstanceId

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Flow:
    """One connection the kernel tracks, as seen from whoever opened it."""

    protocol: Literal["tcp", "udp"]
    source: Address
    source_port: int
    destination: Address
    """The address that was called: the instance's, or the host's where the port is published."""
    destination_port: int
    instance: Address
    """Who answers (the reply's source): the instance's address."""
    instance_port: int
    tcp_state: int | None
    """The kernel's number (0 NONE to 11 RETRANS and beyond), None for UDP."""
    packets: int | None
    """Packets in the original direction so far; None when the kernel does not count."""


@dataclass(frozen=True, slots=True)
class FlowEvent:
    """A change of one flow."""

    kind: Literal["new", "destroy"]
    """`new` is a new flow or a change of state."""
    flow: Flow


class FlowTable(Protocol):
    """The kernel's connection table, only what concerns instances."""

    async def start(
        self, on_event: Callable[[FlowEvent], None], on_lost: Callable[[Exception | None], None]
    ) -> None:
        """Begin to tell events on the loop; `on_lost` when some may be missing (None) or the stream broke."""

    async def stop(self) -> None:
        """Tell no more."""

    def flows(self, instance: tuple[Address, ...] | None = None) -> list[Flow]:
        """Read the table now, of one instance's addresses or of all; raises OSError when it cannot."""


class GateReader(Protocol):
    """The instances' own counters (`scale_to_zero_disable`)."""

    def count(self, instance: InstanceId) -> int | None:
        """Return the counter, None when it is not known (which counts as held)."""

    def on_change(self, callback: Callable[[InstanceId, int | None], None]) -> None:
        """Call back on the loop with each new value."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A promise that somebody needs the instance until a moment."""

    owner: str
    reason: str
    until: float
    """Seconds since 1970 (UTC)."""
