"""A network and a browser behind it, simulated: what a sender would learn of them. No clock, no sockets.

The receiver's estimate follows the draft of Google's congestion control, roughly: it falls to 0.85 of what
arrives when the queue grows, else grows by 8 % a second up to one and a half times what arrives.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from streamserver.webrtc.congestion import TRAIN_PACKET, Observation, RungChooser

STEP = 0.02
"""Seconds that pass at once."""

PACKET = 1200


@dataclass
class Link:
    """`capacity(t)`: bit/s. `queue`: seconds of it that wait at most. `loss`: share lost at random.

    `delay`, `jitter`: seconds there and back. `motion(t)`: share of the quality's bitrate the picture takes.
    """

    capacity: Callable[[float], float]
    queue: float = 0.2
    loss: float = 0.0
    delay: float = 0.04
    jitter: float = 0.0
    motion: Callable[[float], float] = lambda _t: 1.0


@dataclass
class Run:
    """What happened: the quality at each step, and how much of what was sent then arrived, and how late."""

    rungs: list[int | None] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)

    def at(self, seconds: float) -> int | None:
        return self.rungs[int(seconds / STEP)]

    def between(self, first: float, last: float) -> list[int | None]:
        return self.rungs[int(first / STEP) : int(last / STEP)]

    def share(self, rung: int | None, first: float, last: float) -> float:
        part = self.between(first, last)
        return part.count(rung) / len(part)

    def worst_outage(self, first: float, last: float) -> float:
        """Longest time in which less than half of what was sent arrived, or it came half a second late."""
        worst = now = 0.0
        for index in range(int(first / STEP), int(last / STEP)):
            bad = self.arrived[index] < 0.5 or self.late[index] > 0.5
            now = now + STEP if bad else 0.0
            worst = max(worst, now)
        return worst


def simulate(link: Link, bitrates: Sequence[int], seconds: float, seed: int = 1) -> Run:
    """Send over the link for so long, as `RungChooser` decides after each report."""
    chance = random.Random(seed)
    chooser, run = RungChooser(bitrates), Run()
    rung: int | None = 0
    octets = packets = asked_again = reports = 0
    lost = 0.0
    waiting = estimate = 0.0
    sent_since = lost_since = 0.0
    fraction_lost, round_trip = 0.0, link.delay
    trains, train_trip = 0, 0.0
    behind_train: float | None = None
    arrived_lately: list[float] = []
    before = 0.0
    for step in range(int(seconds / STEP)):
        now = step * STEP
        capacity = max(link.capacity(now), 1.0)
        sent = 0.0 if rung is None else bitrates[rung] * min(link.motion(now), 1.0) * STEP / 8
        lost = sum(float(PACKET) for _ in range(round(sent / PACKET)) if chance.random() < link.loss)
        waiting += sent - lost
        overflow = max(waiting - capacity / 8 * max(link.queue, STEP), 0.0)
        waiting -= overflow
        lost += overflow
        leaving = min(waiting, capacity / 8 * STEP)
        waiting -= leaving
        delay = waiting * 8 / capacity
        octets += int(sent)
        packets += round(sent / PACKET)
        asked_again += round(lost / PACKET)
        sent_since, lost_since = sent_since + sent, lost_since + lost
        run.rungs.append(rung)
        run.arrived.append(1 - lost / sent if sent else 1.0)
        run.late.append(delay)
        arrived_lately = [*arrived_lately[-24:], leaving]
        arrives = sum(arrived_lately) * 8 / (len(arrived_lately) * STEP)
        if delay > 0.03 and delay > before:
            estimate = min(estimate, 0.85 * arrives) if estimate else 0.85 * arrives
        else:
            estimate = min(max(estimate, 10_000) * 1.08**STEP, max(1.5 * arrives + 10_000, estimate))
            estimate = max(estimate, arrives) if step == 250 else estimate
        before = delay
        if step % 50 == 49:  # a receiver report a second
            reports += 1
            fraction_lost = lost_since / sent_since if sent_since else 0.0
            sent_since = lost_since = 0.0
            if behind_train is not None:
                trains, train_trip, behind_train = trains + 1, behind_train, None
            round_trip = link.delay + delay + chance.uniform(-link.jitter, link.jitter)
        if step % 5 == 0:
            seen = Observation(
                octets,
                packets,
                asked_again,
                reports,
                fraction_lost,
                round_trip,
                int(estimate),
                trains=trains,
                train_trip=train_trip,
            )
            decision = chooser.update(now, seen)
            rung = decision.rung
            waits = (waiting + decision.train * TRAIN_PACKET) * 8 / capacity
            if decision.train and waits < link.queue:  # else it is lost
                behind_train = link.delay + waits + chance.uniform(-link.jitter, link.jitter)
    return run
