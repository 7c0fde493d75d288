"""The trap: sees packets to sleeping instances, and has those to stopped ones wait. What
`contract.WakeTrap` promises.

A trapped instance is an element of a set of the table that `hostagent.network.rules` makes; the kernel
counts packets to it, and logs the first ones or hands them to a queue.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from prometheus_client import CollectorRegistry

from hostagent.clock import Clock
from hostagent.errors import HostError, UnsupportedError
from hostagent.instances.model import Addresses, InstanceId
from hostagent.logs import get_logger
from hostagent.netlink import log as packet_log
from hostagent.netlink.message import messages
from hostagent.network import rules
from hostagent.network.contract import WakeCallback, WakePacket
from hostagent.network.nft import Nft
from hostagent.wake import ip_packet
from hostagent.wake.hold_queue import HoldQueue
from hostagent.wake.listener import Listener
from hostagent.wake.metrics import TrapMetrics
from hostagent.wake.trap_sets import TrapSets
from hostagent.wake.waiting_room import WaitingRoom

log = get_logger("wake")

Address = IPv4Address | IPv6Address


class TrapRules(Protocol):
    """What the trap needs of the network."""

    @property
    def nft(self) -> Nft:
        """Where the sets are."""

    @property
    def hold_refusal(self) -> str | None:
        """Why packets cannot be held, None when they can."""


@dataclass(slots=True)
class _Trapped:
    addresses: tuple[Address, Address]
    hold: bool
    """Packets wait; no longer once they were released."""


class PacketTrap:
    """Works in the network namespace of the thread that calls `start`; everything happens on the loop."""

    def __init__(
        self,
        network: TrapRules,
        clock: Clock,
        *,
        max_pending: int,
        deadline: float,
        registry: CollectorRegistry,
        log_group: int = rules.LOG_GROUP,
        queue_number: int = rules.HOLD_QUEUE,
    ) -> None:
        """Let `max_pending` packets wait per address of a stopped instance, each for `deadline` seconds."""
        self._network = network
        self._log_group = log_group
        self._room = WaitingRoom(max_pending, deadline)
        self._metrics = TrapMetrics(registry, lambda: len(self._room))
        self._sets: TrapSets | None = None
        self._log = Listener(self._read_log, self._overrun)
        self._queue = HoldQueue(
            queue_number,
            self._room,
            clock,
            self._metrics,
            is_held=self._is_held,
            on_held=self._tell,
            on_overrun=self._overrun,
        )
        self._trapped: dict[InstanceId, _Trapped] = {}
        self._owners: dict[Address, InstanceId] = {}
        self._orphans: set[Address] = set()
        """In the sets since an agent before us, and not claimed by `install` yet."""
        self._early: dict[Address, WakePacket] = {}
        """The first packet that came for each of them."""
        self._sleepers: dict[bytes, InstanceId] = {}
        """Who sleeps without holding packets, by the bytes of their addresses: what an arrival is looked
        up in.
        """
        self._on_packet: WakeCallback | None = None
        self._on_arrival: Callable[[InstanceId], None] | None = None

    async def start(
        self, on_packet: WakeCallback, on_arrival: Callable[[InstanceId], None] | None = None
    ) -> None:
        """Listen; raises TrapError when another program has our log group or queue."""
        await self.stop()
        self._on_packet, self._on_arrival = on_packet, on_arrival
        sets = self._sets = TrapSets(self._network.nft)
        self._log.start("log group", self._log_group, packet_log.bind)
        if self._network.hold_refusal is None:
            self._queue.start(sets)
        for address, packets in sets.counters("sleeping", "stopped"):
            if address not in self._owners:
                self._orphans.add(address)
                if packets:
                    self._early[address] = WakePacket(address)

    async def stop(self) -> None:
        """Listen no longer; the kernel counts packets for the next start. What is held is dropped."""
        self._log.stop()
        self._queue.stop()

    async def settle(self) -> None:
        """Forget whoever was trapped by an agent before this one and was not installed again."""
        orphans, self._orphans = self._orphans, set()
        self._early.clear()
        if orphans:
            self._take_out(orphans)
            log.info("forgot traps of an agent before this one", addresses=sorted(map(str, orphans)))

    async def install(self, instance: InstanceId, addresses: Addresses, *, hold: bool) -> None:
        """From the return on, any packet to the addresses calls back; with `hold` it waits until `release`.

        Raises UnsupportedError when this kernel cannot hold packets, NftError when it refuses.
        """
        if hold and (refusal := self._network.hold_refusal) is not None:
            raise UnsupportedError(f"packets to a stopped instance cannot be held here: {refusal}")
        pair = (addresses.ipv4, addresses.ipv6)
        if not hold:
            self._queue.count_full(pair)
        self._require_sets().put(pair, "stopped" if hold else "sleeping")
        self._trapped[instance] = _Trapped(pair, hold)
        for address in pair:
            self._owners[address] = instance
            self._orphans.discard(address)
            self._sleepers.pop(address.packed, None)
        if not hold:
            self._sleepers |= {address.packed: instance for address in pair}
            self._queue.let_go(pair)
        for address in pair:
            if (early := self._early.pop(address, None)) is not None:
                self._tell(early)

    async def remove(self, instance: InstanceId) -> None:
        """Watch no longer; what is held is let go."""
        trapped = self._trapped.pop(instance, None)
        if trapped is not None:
            for address in trapped.addresses:
                self._owners.pop(address, None)
                self._sleepers.pop(address.packed, None)
            self._take_out(trapped.addresses)

    async def release(self, instance: InstanceId) -> None:
        """Let held packets go on, and those to come: the instance answers again."""
        trapped = self._trapped.get(instance)
        if trapped is not None and trapped.hold:
            trapped.hold = False
            self._take_out(trapped.addresses)

    def held(self, instance: InstanceId) -> list[WakePacket]:
        """Return the packets that wait: they name the ports somebody wants to reach."""
        trapped = self._trapped.get(instance)
        if trapped is None:
            return []
        return [packet for address in trapped.addresses for packet in self._room.packets(address)]

    def _require_sets(self) -> TrapSets:
        if self._sets is None:
            raise HostError("the trap was not started")
        return self._sets

    def _take_out(self, addresses: tuple[Address, ...] | set[Address]) -> None:
        self._queue.count_full(addresses)
        self._require_sets().take_out(addresses, "sleeping", "stopped", "full")
        self._queue.let_go(addresses)

    def _is_held(self, address: Address) -> bool:
        instance = self._owners.get(address)
        return address in self._orphans if instance is None else self._trapped[instance].hold

    def _tell(self, packet: WakePacket) -> None:
        """Call back, or keep it for whoever is installed again."""
        instance = self._owners.get(packet.destination)
        if instance is None:
            if packet.destination in self._orphans:
                self._early.setdefault(packet.destination, packet)
        elif self._on_packet is not None:
            self._on_packet(instance, packet)

    def _read_log(self, data: memoryview) -> None:
        if self._on_arrival is not None and (first := packet_log.first_payload(data)) is not None:
            sleeper = self._sleepers.get(ip_packet.destination(first))
            if sleeper is not None:
                self._on_arrival(sleeper)
        for message in messages(data):
            if message.kind == packet_log.PACKET:
                content = packet_log.payload(data, message.start, message.end)
                packet = ip_packet.parse(content) if content is not None else None
                if packet is not None:
                    self._tell(packet)
                    self._metrics.logged.inc()

    def _overrun(self) -> None:
        """Find by the counters whom the packets were for that the kernel could not tell us of."""
        self._metrics.overruns.inc()
        for address, packets in self._require_sets().counters("sleeping", "stopped"):
            if packets:
                self._tell(WakePacket(address))
