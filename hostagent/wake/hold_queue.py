"""Packets to stopped instances wait in the kernel's queue until the service answers, or for too long, or
too many.
"""

import asyncio
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address

from hostagent.clock import Clock
from hostagent.netlink import queue
from hostagent.netlink.message import messages
from hostagent.network.contract import WakePacket
from hostagent.wake import ip_packet
from hostagent.wake.listener import Listener
from hostagent.wake.metrics import TrapMetrics
from hostagent.wake.trap_sets import TrapSets
from hostagent.wake.waiting_room import WaitingRoom

Address = IPv4Address | IPv6Address
_MOST_QUEUED = 65_535
"""Packets of all instances that wait in the kernel; what each may have is bounded by the waiting room."""


class HoldQueue:
    """Decides on every packet that the rules queue."""

    def __init__(
        self,
        number: int,
        room: WaitingRoom,
        clock: Clock,
        metrics: TrapMetrics,
        *,
        is_held: Callable[[Address], bool],
        on_held: Callable[[WakePacket], None],
        on_overrun: Callable[[], None],
    ) -> None:
        """Keep packets whose destination `is_held`, and tell of them; others go on."""
        self._number = number
        self._room = room
        self._clock = clock
        self._metrics = metrics
        self._is_held = is_held
        self._on_held = on_held
        self._listener = Listener(self._read, on_overrun)
        self._sets: TrapSets | None = None
        self._full: set[Address] = set()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, sets: TrapSets) -> None:
        """Listen; raises TrapError when another program has the queue."""
        self._sets = sets
        self._full = {address for address, _ in sets.counters("full")}
        self._listener.start(
            "queue", self._number, lambda sock, number: queue.bind(sock, number, _MOST_QUEUED)
        )

    def stop(self) -> None:
        """Listen no longer; the kernel drops what waits."""
        self._listener.stop()
        self._room.clear()
        self._schedule()

    def let_go(self, addresses: Iterable[Address]) -> None:
        """Let what waits for them go on. They must be out of the sets, or new packets would overtake."""
        for address in addresses:
            self._full.discard(address)
            for waiting in self._room.leave(address):
                self._decide(waiting.number, "accept")
        self._schedule()

    def count_full(self, addresses: Iterable[Address]) -> None:
        """Add to the metric what the kernel dropped for those that are full; before they leave the set."""
        full = self._full.intersection(addresses)
        if full and self._sets is not None:
            for address, packets in self._sets.counters("full"):
                if address in full:
                    self._metrics.dropped.labels("limit").inc(packets)

    def _read(self, data: memoryview) -> None:
        for message in messages(data):
            if message.kind == queue.PACKET:
                told = queue.packet(data, message.start, message.end)
                if told is not None:
                    self._packet(told[0], ip_packet.parse(told[1]))

    def _packet(self, number: int, packet: WakePacket | None) -> None:
        """Let one packet wait, or go on, or drop it."""
        if packet is None or not self._is_held(packet.destination):
            self._decide(number, "accept")
            return
        if not self._room.admit(number, packet, self._clock.monotonic()):
            self._metrics.dropped.labels("limit").inc()
            self._decide(number, "drop")
            return
        self._metrics.held.inc()
        if self._room.is_full(packet.destination) and self._sets is not None:
            # the kernel drops further ones, which costs us nothing however many there are
            self._sets.fill(packet.destination)
            self._full.add(packet.destination)
        self._schedule()
        self._on_held(packet)

    def _decide(self, number: int, verdict: queue.Verdict) -> None:
        if (sock := self._listener.socket) is not None:
            queue.decide(sock, self._number, number, verdict)

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
        """Drop what waited too long."""
        self._timer = None
        late = self._room.give_up(self._clock.monotonic())
        for waiting in late:
            self._metrics.dropped.labels("deadline").inc()
            self._decide(waiting.number, "drop")
        again = {waiting.packet.destination for waiting in late} & self._full
        if again and self._sets is not None:
            self.count_full(again)
            self._sets.take_out(again, "full")
            self._full -= again
        self._schedule()
