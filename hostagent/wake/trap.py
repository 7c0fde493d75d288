"""The trap: sees packets to sleeping instances, and has those to stopped ones wait. What
`contract.WakeTrap` promises.

A sleeping instance is an element of a set of the table that `hostagent.network.rules` makes; the kernel
counts packets to it and logs the first ones, or hands them to a queue. A change is one nft transaction
inside this process.
"""

import asyncio
import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol

from prometheus_client import CollectorRegistry

from hostagent.clock import Clock
from hostagent.errors import HostError, UnsupportedError
from hostagent.instances.model import Addresses, InstanceId
from hostagent.logs import get_logger
from hostagent.netlink import log as packet_log
from hostagent.netlink import queue
from hostagent.netlink.message import messages
from hostagent.netlink.socket import NetfilterSocket
from hostagent.network import rules
from hostagent.network.contract import WakeCallback, WakePacket
from hostagent.network.nft import Nft
from hostagent.wake import ip_packet
from hostagent.wake.metrics import TrapMetrics
from hostagent.wake.waiting_room import Waiting, WaitingRoom

log = get_logger("wake")

Address = IPv4Address | IPv6Address
_BUFFER = 8 << 20
"""Bytes of packets not yet read; one takes some 4 KiB there."""
_MOST_QUEUED = 65_535
"""Packets of all instances that wait in the kernel; what each may have is bounded by the waiting room."""
_BATCH = 64
"""Messages read before others on the loop have their turn."""


class TrapRules(Protocol):
    """What the trap needs of the network."""

    @property
    def nft(self) -> Nft:
        """Where the sets are."""

    @property
    def hold_refusal(self) -> str | None:
        """Why packets cannot be held, None when they can."""


class TrapError(HostError):
    """The kernel does not tell us of packets."""


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
        self._clock = clock
        self._log_group = log_group
        self._queue_number = queue_number
        self._room = WaitingRoom(max_pending, deadline)
        self._metrics = TrapMetrics(registry, lambda: len(self._room))
        self._trapped: dict[InstanceId, _Trapped] = {}
        self._owners: dict[Address, InstanceId] = {}
        self._orphans: set[Address] = set()
        """In the sets since an agent before us, and not claimed by `install` yet."""
        self._early: dict[Address, WakePacket] = {}
        """What came for them."""
        self._full: set[Address] = set()
        self._log: NetfilterSocket | None = None
        self._queue: NetfilterSocket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._on_packet: WakeCallback | None = None

    async def start(self, on_packet: WakeCallback) -> None:
        """Listen; raises TrapError when another program has our log group or queue."""
        await self.stop()
        self._on_packet = on_packet
        loop = asyncio.get_running_loop()
        self._log = _listen(self._log_group, "log group", packet_log.bind)
        if self._network.hold_refusal is None:
            self._queue = _listen(
                self._queue_number, "queue", lambda sock, number: queue.bind(sock, number, _MOST_QUEUED)
            )
            loop.add_reader(self._queue.fileno(), self._read_queue, self._queue)
        loop.add_reader(self._log.fileno(), self._read_log, self._log)
        for address, packets in self._counters("sleeping", "stopped"):
            if address not in self._owners:
                self._orphans.add(address)
                if packets:
                    self._early[address] = WakePacket(address)
        self._full = {address for address, _ in self._counters("full")}

    async def stop(self) -> None:
        """Listen no longer. The sets stay: the kernel counts packets for the next start; what is held is
        dropped.
        """
        loop = asyncio.get_running_loop()
        for sock in (self._log, self._queue):
            if sock is not None:
                loop.remove_reader(sock.fileno())
                sock.close()
        self._log = self._queue = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def settle(self) -> None:
        """Forget whoever was trapped by an agent before this one and was not installed again."""
        orphans, self._orphans = self._orphans, set()
        self._early.clear()
        if orphans:
            self._take_out(orphans)
            log.info("forgot traps of an agent before this one", addresses=sorted(map(str, orphans)))
        for address in orphans:
            self._let_go(address)

    async def install(self, instance: InstanceId, addresses: Addresses, *, hold: bool) -> None:
        """From the return on, any packet to the addresses calls back; with `hold` it waits until `release`.

        Raises UnsupportedError when this kernel cannot hold packets, NftError when it refuses.
        """
        if hold and (refusal := self._network.hold_refusal) is not None:
            raise UnsupportedError(f"packets to a stopped instance cannot be held here: {refusal}")
        pair = (addresses.ipv4, addresses.ipv6)
        wanted, others = ("stopped", ("sleeping",)) if hold else ("sleeping", ("stopped", "full"))
        commands = []
        for address in pair:
            commands.append(rules.add(f"{wanted}{address.version}", [str(address)]))
            commands += [rules.take_out(f"{name}{address.version}", str(address)) for name in others]
        self._network.nft.run("\n".join(commands))
        self._trapped[instance] = _Trapped(pair, hold)
        for address in pair:
            self._owners[address] = instance
            self._orphans.discard(address)
            if not hold:
                self._full.discard(address)
                self._let_go(address)
        for address in pair:
            waiting = self._room.packets(address)
            early = self._early.pop(address, waiting[0] if waiting else None)
            if early is not None:
                self._wake(instance, early)

    async def remove(self, instance: InstanceId) -> None:
        """Watch no longer; what is held is let go."""
        trapped = self._trapped.pop(instance, None)
        if trapped is None:
            return
        self._take_out(trapped.addresses)
        for address in trapped.addresses:
            self._owners.pop(address, None)
            self._let_go(address)

    async def release(self, instance: InstanceId) -> None:
        """Let held packets go on, and those to come: the instance answers again."""
        trapped = self._trapped.get(instance)
        if trapped is None or not trapped.hold:
            return
        trapped.hold = False
        self._take_out(trapped.addresses)
        for address in trapped.addresses:
            self._let_go(address)

    def held(self, instance: InstanceId) -> list[WakePacket]:
        """Return the packets that wait: they name the ports somebody wants to reach."""
        trapped = self._trapped.get(instance)
        if trapped is None:
            return []
        return [packet for address in trapped.addresses for packet in self._room.packets(address)]

    def _wake(self, instance: InstanceId, packet: WakePacket) -> None:
        if self._on_packet is not None:
            self._on_packet(instance, packet)

    # what the log tells

    def _read_log(self, sock: NetfilterSocket) -> None:
        for _ in range(_BATCH):
            try:
                data = sock.receive()
            except OSError as error:
                self._lost("log", error)
                return
            if data is None:
                return
            for message in messages(data):
                if message.kind != packet_log.PACKET:
                    continue
                content = packet_log.payload(data, message.start, message.end)
                if content is not None and (packet := ip_packet.parse(content)) is not None:
                    self._seen(packet)

    def _seen(self, packet: WakePacket) -> None:
        instance = self._owners.get(packet.destination)
        if instance is not None:
            self._wake(instance, packet)
        elif packet.destination in self._orphans:
            self._early.setdefault(packet.destination, packet)
        self._metrics.logged.inc()

    def _lost(self, source: str, error: OSError) -> None:
        """Find by the counters whom the packets were for that the kernel could not tell us of."""
        if error.errno != errno.ENOBUFS:
            log.error("packets cannot be read", source=source, error=str(error))
            return
        self._metrics.overruns.inc()
        for address, packets in self._counters("sleeping", "stopped"):
            if not packets:
                continue
            instance = self._owners.get(address)
            if instance is None:
                self._early.setdefault(address, WakePacket(address))
            else:
                self._wake(instance, WakePacket(address))

    # what the queue tells

    def _read_queue(self, sock: NetfilterSocket) -> None:
        for _ in range(_BATCH):
            try:
                data = sock.receive()
            except OSError as error:
                self._lost("queue", error)
                return
            if data is None:
                return
            for message in messages(data):
                if message.kind != queue.PACKET:
                    continue
                told = queue.packet(data, message.start, message.end)
                if told is not None:
                    self._hold(told[0], ip_packet.parse(told[1]))

    def _hold(self, number: int, packet: WakePacket | None) -> None:
        """Let one packet wait, or pass on, or drop it."""
        if packet is None or not self._is_holding(packet.destination):
            self._decide(number, "accept")
            return
        address = packet.destination
        if not self._room.admit(number, packet, self._clock.monotonic()):
            self._metrics.dropped.labels("limit").inc()
            self._decide(number, "drop")
            return
        self._metrics.held.inc()
        if self._room.is_full(address):
            # the kernel drops further ones, which costs us nothing however many there are
            self._network.nft.run(rules.add(f"full{address.version}", [str(address)]))
            self._full.add(address)
        self._schedule()
        if (instance := self._owners.get(address)) is not None:
            self._wake(instance, packet)

    def _is_holding(self, address: Address) -> bool:
        instance = self._owners.get(address)
        return address in self._orphans if instance is None else self._trapped[instance].hold

    def _decide(self, number: int, verdict: queue.Verdict) -> None:
        if self._queue is not None:
            queue.decide(self._queue, self._queue_number, number, verdict)

    def _let_go(self, address: Address) -> None:
        for waiting in self._room.leave(address):
            self._decide(waiting.number, "accept")
        self._schedule()

    def _schedule(self) -> None:
        moment = self._room.next_deadline()
        if moment is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            delay = max(0.0, moment - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._give_up)

    def _give_up(self) -> None:
        self._timer = None
        late: list[Waiting] = self._room.give_up(self._clock.monotonic())
        for waiting in late:
            self._metrics.dropped.labels("deadline").inc()
            self._decide(waiting.number, "drop")
        again = {waiting.packet.destination for waiting in late} & self._full
        if again:
            self._count_full(again)
            self._network.nft.run(
                "\n".join(rules.take_out(f"full{address.version}", str(address)) for address in again)
            )
            self._full -= again
        self._schedule()

    # the sets

    def _take_out(self, addresses: Iterable[Address]) -> None:
        """Out of every set, in one transaction."""
        addresses = list(addresses)
        if full := self._full.intersection(addresses):
            self._count_full(full)
            self._full -= full
        self._network.nft.run(
            "\n".join(
                rules.take_out(f"{name}{address.version}", str(address))
                for address in addresses
                for name in rules.TRAP_SETS
            )
        )

    def _count_full(self, addresses: set[Address]) -> None:
        """Add to our metric what the kernel dropped for us."""
        for address, packets in self._counters("full"):
            if address in addresses:
                self._metrics.dropped.labels("limit").inc(packets)

    def _counters(self, *names: str) -> Iterator[tuple[Address, int]]:
        """Yield each address in the sets, and how many packets were counted for it."""
        for name in names:
            for version in (4, 6):
                for element in self._network.nft.list_elements(rules.TABLE, f"{name}{version}"):
                    if isinstance(element, dict) and isinstance(inner := element.get("elem"), dict):
                        value, counter = inner.get("val"), inner.get("counter")
                        packets = counter.get("packets") if isinstance(counter, dict) else 0
                        yield ip_address(str(value)), packets if isinstance(packets, int) else 0


def _listen(number: int, what: str, bind: "Bind") -> NetfilterSocket:
    sock = NetfilterSocket(_BUFFER)
    try:
        bind(sock, number)
    except OSError as error:
        sock.close()
        raise TrapError(
            f"netfilter's {what} {number} cannot be listened to: {error.strerror}; another agent in this "
            "network namespace has it, or this kernel lacks nfnetlink_log or nfnetlink_queue, or we are not root"
        ) from error
    sock.listen()
    return sock


class Bind(Protocol):
    """Configures a socket."""

    def __call__(self, sock: NetfilterSocket, number: int, /) -> None:
        """Raise OSError when the kernel refuses."""
