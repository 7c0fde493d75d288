"""A sender, a network and a browser's receiver, packet by packet in virtual time: what the viewer sees.

It follows `frame_sender` (queue, pacer, history, what happens at a change of quality) and libwebrtc's
receiver (lost packets are asked for at once and again every 100 ms, a frame needs all before it back to a
key frame). No clock, no sockets: a minute takes a second, and is the same each time.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from streamserver.webrtc.congestion import Decision, Observation, RungChooser
from streamserver.webrtc.fan_out import PACE_INTERVAL
from streamserver.webrtc.frame_sender import QUEUE_LIMIT
from streamserver.webrtc.pacer import Pacer

TICK = 0.001
PACKET = 1200
BURST = 16

ASK_AGAIN, MOST_ASKED = 0.1, 10
"""Seconds between two requests for one packet, and how often it is asked for."""

GIVE_UP = 3.0
"""Seconds without a picture after which the receiver asks for a key frame."""

KEYFRAME, MODEST_KEYFRAME = 0.25, 0.14
"""Seconds of the bitrate that a key frame takes, and one of a quality that begins beside others."""

ENCODER_START = 0.03
"""Seconds that a new encoder takes."""


@dataclass(frozen=True)
class Rung:
    bitrate: int
    fps: float


LADDER = (Rung(2_500_000, 30), Rung(1_000_000, 15), Rung(400_000, 15))


@dataclass
class Network:
    """`capacity(t)`: bit/s. `queue`: seconds of it that wait at most. `loss`: share lost at random.

    `delay`, `jitter` (functions of time): seconds there and back; packets stay in order.
    """

    capacity: Callable[[float], float]
    queue: float = 0.2
    loss: Callable[[float], float] = lambda _t: 0.0
    delay: Callable[[float], float] = lambda _t: 0.02
    jitter: Callable[[float], float] = lambda _t: 0.0


@dataclass
class Outcome:
    """What happened. `shown`: when each picture was complete; `rungs`: (time, quality) of each change;
    `late`: (time, seconds) that packets waited on the way; `received`: (time, bytes) of pictures shown;
    `keyframes`: (time, bytes) of those sent; `asked_again`: packets.
    """

    shown: list[float] = field(default_factory=list)
    rungs: list[tuple[float, int | None]] = field(default_factory=list)
    late: list[tuple[float, float]] = field(default_factory=list)
    received: list[tuple[float, int]] = field(default_factory=list)
    keyframes: list[tuple[float, int]] = field(default_factory=list)
    asked_again: int = 0

    def longest(self, first: float = 0.0, last: float = float("inf")) -> float:
        """Return the longest time without a new picture between two moments, seconds."""
        return max(self._gaps(first, last), default=last - first)

    def frozen(self, first: float, last: float) -> float:
        """Return the seconds in gaps of more than 0.3 s."""
        return sum(gap for gap in self._gaps(first, last) if gap > 0.3)

    def _gaps(self, first: float, last: float) -> list[float]:
        times = [at for at in self.shown if first <= at <= last]
        return [after - before for before, after in pairwise(times)]

    def rung_at(self, moment: float) -> int | None:
        return [rung for at, rung in self.rungs if at <= moment][-1]

    def since(self, rung: int, after: float) -> float:
        """Return how long after a moment that quality was reached for good, seconds; inf: never."""
        if self.rungs[-1][1] != rung:
            return float("inf")
        return max(self.rungs[-1][0] - after, 0.0)

    def rate(self, first: float, last: float) -> float:
        """Return the bit/s of pictures that were shown."""
        return sum(size for at, size in self.received if first <= at <= last) * 8 / (last - first)

    def queue(self, first: float, last: float, share: float = 0.95) -> float:
        """Return what that share of the packets waited at most on the way, seconds."""
        waits = sorted(wait for at, wait in self.late if first <= at <= last)
        return waits[int(len(waits) * share)] if waits else 0.0


@dataclass(slots=True)
class Packet:
    sequence: int
    frame: int
    last: bool
    first: bool
    keyframe: bool
    rung: int
    size: int
    sent_at: float = 0.0
    again: bool = False


class Wire:
    """One run. `chooser`: what decides; it is told what `FrameSender.observe` would say."""

    def __init__(
        self,
        network: Network,
        *,
        ladder: Sequence[Rung] = LADDER,
        chooser: RungChooser | None = None,
        seed: int = 1,
    ) -> None:
        self.network = network
        self.ladder = ladder
        self.chooser = chooser or RungChooser([rung.bitrate for rung in ladder])
        self.chance = random.Random(seed)
        self.outcome = Outcome(rungs=[(0.0, 0)])
        self.now = 0.0
        # sender
        self.pacer = Pacer()
        self.rung: int | None = 0
        self.flowing = 0
        self.next: tuple[int, float] | None = None
        self.waiting = True
        self.keyframe_wanted = True
        self.last_keyframe = -1.0
        self.frame_at = 0.0
        self.frame = 0
        self.sequence = 0
        self.queue: deque[list[Packet]] = deque()
        self.flush_at = float("inf")
        self.history: dict[int, Packet] = {}
        self.octets = self.packets = self.nacks = self.overflows = self.reports = 0
        self.fraction, self.remb = 0.0, 0
        self.round_trip: float | None = None
        self.looked_at = float("-inf")
        # network
        self.free_at = 0.0
        self.under_way: deque[tuple[float, Packet | tuple[float, bool]]] = deque()
        self.back: deque[tuple[float, Callable[[], None]]] = deque()
        # receiver
        self.highest = -1
        self.missing: dict[int, tuple[float, int]] = {}
        self.frames: dict[int, list[Packet]] = {}
        self.shown = -1
        self.expected = self.counted = 0
        self.last_shown_at = 0.0
        self.arrived: deque[tuple[float, int, float]] = deque()
        self.estimate = 0.0
        self.told = 0
        self.delay_before = 0.0
        self.sr_delay: float | None = None
        self.sr_train = self.trained = False
        self.trains, self.train_trip = 0, 0.0
        self.report_at, self.sr_at, self.remb_at, self.ask_at, self.estimate_at = 0.3, 0.1, 0.5, 0.0, 0.1

    def run(self, seconds: float) -> Outcome:
        while self.now < seconds:
            self._capture()
            if self.now >= self.flush_at:
                self._flush(waited=True)
            while self.under_way and self.under_way[0][0] <= self.now:
                what = self.under_way.popleft()[1]
                if isinstance(what, tuple):
                    self.sr_delay, self.sr_train = self.now - what[0], what[1]
                else:
                    self._receive(what)
            self._receiver_timers()
            while self.back and self.back[0][0] <= self.now:
                self.back.popleft()[1]()
            if self.now >= self.sr_at:
                self.sr_at = self.now + self.chance.uniform(0.5, 1.5)
                self._transmit(None)
            if self.now - self.looked_at >= 1.0:
                self._look()
            self.now += TICK
        return self.outcome

    # the sender

    def _capture(self) -> None:
        if self.next is not None and self.now >= self.next[1]:
            self.flowing = self.next[0]
            self.next = None
            self._discard()
            self.waiting = False
            self.frame_at = self.now
            self._encode(keyframe=True, modest=self.flowing > 0)
            return
        if self.rung is None or self.now < self.frame_at:
            return
        keyframe = self.keyframe_wanted and self.now - self.last_keyframe > 0.3
        self._encode(keyframe=keyframe, modest=False)

    def _encode(self, *, keyframe: bool, modest: bool) -> None:
        rung = self.ladder[self.flowing]
        self.frame_at = max(self.frame_at + 1 / rung.fps, self.now)
        if keyframe:
            self.keyframe_wanted, self.last_keyframe = False, self.now
            size = rung.bitrate / 8 * (MODEST_KEYFRAME if modest else KEYFRAME)
        else:
            size = rung.bitrate / 8 / rung.fps * self.chance.lognormvariate(-0.08, 0.4)
        if self.waiting and (not keyframe or self.next is not None):
            return
        self.waiting = False
        if len(self.queue) >= QUEUE_LIMIT["video"]:
            self._discard()
            self.overflows += 1
            self._look()
            if not (keyframe and self.next is None):
                self.waiting = True
                self.keyframe_wanted = self.keyframe_wanted or self.next is None
                return
        if keyframe:
            self.outcome.keyframes.append((self.now, int(size)))
        count = max(1, round(size / PACKET))
        self.queue.append(
            [
                Packet(0, self.frame, index == count - 1, index == 0, keyframe, self.flowing, PACKET)
                for index in range(count)
            ]
        )
        self.frame += 1
        if len(self.queue) == 1:
            self._flush(waited=False)
        elif self.flush_at == float("inf"):
            self.flush_at = self.now + PACE_INTERVAL

    def _discard(self) -> None:
        self.queue.clear()
        self.history.clear()
        self.flush_at = float("inf")

    def _flush(self, *, waited: bool) -> None:
        left = BURST
        while self.queue:
            frame = self.queue[0]
            while frame:
                if self.pacer.rate is not None:
                    if self.pacer.allowance(self.now, waited=waited) < PACKET:
                        self.flush_at = self.now + PACE_INTERVAL
                        return
                    self.pacer.spend(PACKET)
                elif left == 0:
                    self.flush_at = self.now + PACE_INTERVAL
                    return
                left -= 1
                packet = frame.pop(0)
                packet.sequence = self.sequence
                self.sequence += 1
                self.history[packet.sequence] = packet
                self.octets += PACKET
                self.packets += 1
                self._transmit(packet)
            self.queue.popleft()
        self.flush_at = float("inf")

    def _asked(self, numbers: list[int]) -> None:
        self.nacks += len(numbers)
        self.outcome.asked_again += len(numbers)
        for number in numbers:
            found = self.history.get(number)
            if found is not None:
                self._transmit(replace(found, again=True))
                self.pacer.spend(PACKET)
        self._look()

    def _observe(self) -> Observation:
        return Observation(
            self.octets,
            self.packets,
            self.nacks,
            self.reports,
            self.fraction,
            self.round_trip,
            self.remb,
            self.overflows,
            self.trains,
            self.train_trip,
        )

    def _look(self) -> None:
        if self.now - self.looked_at < 0.05 and self.overflows == 0:
            return
        self.looked_at = self.now
        self._obey(self.chooser.update(self.now, self._observe()))

    def _obey(self, decision: Decision) -> None:
        self.pacer.rate = decision.pace
        if decision.train:
            for _ in range(decision.train):
                self._transmit(Packet(-1, -1, False, False, False, 0, PACKET, again=True))
                self.pacer.spend(PACKET)
            self._transmit(None, train=True)
            self.sr_at = max(self.sr_at, self.now + 2.0)
        if decision.rung == self.rung:
            return
        old, self.rung = self.rung, decision.rung
        self.outcome.rungs.append((self.now, decision.rung))
        if decision.rung is None:
            self.next = None
            self._discard()
            return
        if old is None or decision.rung > old:  # less: at once
            self._discard()
            self.waiting = True
        start = ENCODER_START if decision.rung else 1 / self.ladder[0].fps
        self.next = (decision.rung, self.now + start)

    # the network

    def _transmit(self, packet: Packet | None, *, train: bool = False) -> None:
        """Send a packet, or a report (None), behind a `train` or not."""
        network, now = self.network, self.now
        lost = self.chance.random() < network.loss(now)
        if packet is not None:
            packet.sent_at = now
        if lost:
            return
        capacity = max(network.capacity(now), 1000.0)
        began = max(now, self.free_at)
        if began - now > network.queue:
            return
        size = PACKET if packet is not None else 100
        self.free_at = began + size * 8 / capacity
        late = network.delay(now) / 2 + self.chance.uniform(-1, 1) * network.jitter(now)
        arrives = self.free_at + max(late, 0.0)
        if self.under_way:
            arrives = max(arrives, self.under_way[-1][0])
        self.outcome.late.append((now, arrives - now - network.delay(now) / 2))
        self.under_way.append((arrives, packet if packet is not None else (now, train)))

    def _tell(self, work: Callable[[], None]) -> None:
        self.back.append((self.now + self.network.delay(self.now) / 2, work))

    # the receiver

    def _receive(self, packet: Packet) -> None:
        number = packet.sequence
        self.arrived.append((self.now, packet.size, packet.sent_at))
        if number < 0:  # of a train
            return
        if packet.again:
            self.missing.pop(number, None)
        else:
            self.counted += 1
            if number > self.highest:
                lost = list(range(self.highest + 1, number)) if self.highest >= 0 else []
                self.highest = number
                if lost:
                    for one in lost:
                        self.missing[one] = (self.now, 1)
                    self._tell(lambda: self._asked(lost))
        if packet.frame <= self.shown:
            return
        packets = self.frames.setdefault(packet.frame, [])
        if all(one.sequence != number for one in packets):
            packets.append(packet)
        self._show()

    def _whole(self, packets: list[Packet]) -> bool:
        numbers = sorted(one.sequence for one in packets)
        ends = any(one.first for one in packets) and any(one.last for one in packets)
        return ends and numbers[-1] - numbers[0] + 1 == len(numbers)

    def _show(self) -> None:
        while True:
            following = self.frames.get(self.shown + 1)
            if (
                following is not None
                and (self.shown >= 0 or following[0].keyframe)
                and self._whole(following)
            ):
                self._shown(self.shown + 1)
                continue
            later = [
                frame
                for frame, packets in self.frames.items()
                if packets[0].keyframe and self._whole(packets)
            ]
            if not later:
                return
            self._shown(max(later))

    def _shown(self, frame: int) -> None:
        packets = self.frames[frame]
        self.shown = frame
        self.last_shown_at = self.now
        self.outcome.shown.append(self.now)
        self.outcome.received.append((self.now, sum(one.size for one in packets)))
        oldest = min(one.sequence for one in packets)
        for number in [number for number in self.missing if number < oldest]:
            del self.missing[number]
        for number in [number for number in self.frames if number <= frame]:
            del self.frames[number]

    def _receiver_timers(self) -> None:
        now = self.now
        if self.missing and now >= self.ask_at:
            self.ask_at = now + 0.02
            due = [number for number, (at, _) in self.missing.items() if now - at >= ASK_AGAIN]
            for number in due:
                times = self.missing[number][1]
                if times >= MOST_ASKED:
                    del self.missing[number]
                else:
                    self.missing[number] = (now, times + 1)
            again = [number for number in due if number in self.missing]
            if again:
                self._tell(lambda: self._asked(again))
        if now - self.last_shown_at > GIVE_UP and self.rung is not None:
            self.last_shown_at = now

            def wanted() -> None:
                self.keyframe_wanted = True

            self._tell(wanted)
        if now >= self.estimate_at:
            self.estimate_at = now + 0.1
            self._estimate()
        if now >= self.report_at:
            self._report()

    def _estimate(self) -> None:
        """As the draft of Google's congestion control has it, roughly."""
        now = self.now
        while self.arrived and self.arrived[0][0] < now - 0.5:
            self.arrived.popleft()
        arrives = sum(size for _, size, _ in self.arrived) * 8 / 0.5
        lately = [at - sent for at, _, sent in self.arrived if at > now - 0.25]
        delay = sum(lately) / len(lately) - self.network.delay(now) / 2 if lately else 0.0
        if delay > 0.03 and delay > self.delay_before + 0.003:
            self.estimate = min(self.estimate, 0.85 * arrives) if self.estimate else 0.85 * arrives
        else:
            growth = max(self.estimate, 10_000) * 1.08**0.1
            self.estimate = min(growth, max(1.5 * arrives + 10_000, self.estimate))
            if now < 3:
                self.estimate = max(self.estimate, arrives)
        self.delay_before = delay
        if now >= self.remb_at or (self.told and self.estimate < 0.97 * self.told):
            self.remb_at = now + 1.0
            self.told = told = int(self.estimate)

            def tell() -> None:
                self.remb = told
                self._look()

            self._tell(tell)
            self._report()

    def _report(self) -> None:
        now = self.now
        self.report_at = now + self.chance.uniform(0.5, 1.5)
        expected = self.highest + 1 - self.expected
        fraction = max(0.0, 1 - self.counted / expected) if expected > 0 else 0.0
        self.expected, self.counted = self.highest + 1, 0
        sr_delay, train = self.sr_delay, self.sr_train

        def tell() -> None:
            self.reports += 1
            self.fraction = fraction
            if train and sr_delay is not None:
                self.trains += not self.trained
                self.trained = True
                self.train_trip = sr_delay + self.network.delay(self.now) / 2
            elif sr_delay is not None:
                self.trained = False
                self.round_trip = sr_delay + self.network.delay(self.now) / 2
            self._look()

        self._tell(tell)


def step(
    low: float, first: float = 10.0, last: float = 25.0, plenty: float = 20e6
) -> Callable[[float], float]:
    """Return a capacity that is less for a while."""
    return lambda t: low if first <= t < last else plenty
