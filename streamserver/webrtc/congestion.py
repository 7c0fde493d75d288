"""Which quality a viewer's network can take, judged by what the viewer reports. Pure.

Level one: loss, requests for lost packets, round trip, and the receiver's own estimate (REMB). The picture is
not stretched to the last bit: there are a few encodes, and the question is which one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

WINDOW = 1.0
"""Seconds over which what was sent is counted."""

LOSSY = 0.12
"""Share of packets lost from which on it is congestion; a radio link that loses 5 % at random is not."""

ASKED_AGAIN = 0.2
"""Share of packets asked for again that shows congestion before the next report does."""

LEAST_PACKETS = 40
"""Packets that such a share needs to mean something; a slow stream takes longer than the window for them...
"""

LONGEST_WINDOW = 4.0
"""... but no longer than this, seconds."""

QUEUE = 0.15
"""Seconds by which the round trip must exceed its least for it to be a queue, or half of the least if
more."""

EMPTYING = 0.95
"""A queue that is this much shorter than at the report before runs empty: time will do."""

REMB_FELL = 0.85
"""REMB this much below its recent height: the receiver sees its packets come ever later..."""

SMALL_QUEUE = 0.06
"""... which counts when the round trip has grown by this, seconds: a busy browser sees it without a queue."""

NEAR = 0.5
"""Share of a quality's bitrate from which on the link is really tried. On a still page REMB and the round
trip say nothing about what the link could take.
"""

SETTLE = 1.5
"""Seconds after a change in which old queues drain and old reports come: they are no reason for another."""

TRIAL_SETTLE = 0.3
"""The same after a change to a better quality, which followed quiet seconds: what is bad now is its doing."""

UPGRADE_AFTER = (2.0, 4.0, 5.0, 5.0, 5.0, 15.0, 30.0)
"""Quiet seconds before the next better quality is tried: the n-th time after n failures in a row.

What was slow for less than half a minute is at its best again within ten seconds; what is slow for good is
rarely tried.
"""

TRIAL = 8.0
"""Seconds after which a better quality has not failed."""

TRAIN_SECONDS, TRAIN_PACKETS = 0.08, (6, 16)
"""Before a better quality is tried, so much of it is sent at once, with a report behind it: how late that
arrives tells how fast the link is. Seconds of the bitrate, and least and most packets."""

TRAIN_PACKET = 1232
"""Bytes of each with its headers."""

TRAIN_EVERY = 1.5
"""Seconds from a train that found the link too slow to the next."""

TRAIN_LOST = 2.5
"""Seconds after which reports should have told of it: the link lost it..."""

UNANSWERED = 4.0
"""... and after which a viewer that reports nothing gets the better quality without."""

SEVERE_LOSS, SEVERE_QUEUE = 0.25, 0.8
"""What the lowest quality must suffer, as a share and in seconds, to be too much..."""

SEVERE_FOR = 4.0
"""... for so many seconds."""

RESUME_AFTER = (5.0, 10.0, 20.0, 30.0)
"""Seconds of pause, the n-th time in a row."""

LIMITED_FOR = 60.0
"""Seconds for which a link that was full is sent to in small bursts."""

PACE = 1.5
"""How much faster than the quality's bitrate packets leave on such a link."""

_LEAST_RTT_FOR = 30.0
_RECENT = 5.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known about a viewer's picture at some moment. Counts are since the start.

    `octets`, `packets`: sent. `asked_again`: packets the viewer asked for again. `overflows`: how often so
    much waited to be sent that it was given up. `reports`: receiver reports that came; of the last one
    `fraction_lost` (0 to 1) and `round_trip` (seconds, None: not known). `remb`: the
    receiver's estimate, bit/s; 0: none. `trains`: how many were answered, and `train_trip`: the round trip of
    the report behind the last of them (seconds), which is not taken for `round_trip`.
    """

    octets: int = 0
    packets: int = 0
    asked_again: int = 0
    reports: int = 0
    fraction_lost: float = 0.0
    round_trip: float | None = None
    remb: int = 0
    overflows: int = 0
    trains: int = 0
    train_trip: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """`rung`: index of the quality to send, None: pause. `pace`: bit/s to send at most, None: no limit.
    `train`: packets to try the link with now, see `TRAIN_SECONDS`; usually 0.
    """

    rung: int | None
    pace: float | None
    train: int = 0


@dataclass(frozen=True, slots=True)
class _Train:
    """One that is under way: when it was sent, its bytes, and how many trains and reports were known then."""

    sent_at: float
    size: int
    before: int
    reports: int


class RungChooser:
    """Chooses among qualities of `bitrates` (bit/s, best first) for one viewer.

    Down at once, and one step or as many as what arrives demands; up one step at a time, after a while
    without trouble that grows with each failure; a pause when even the last is far too much.
    """

    def __init__(self, bitrates: Sequence[int], rung: int = 0) -> None:
        self._bitrates = tuple(bitrates)
        self._rung = rung
        self._sent: deque[tuple[float, Observation]] = deque()
        self._round_trips: deque[tuple[float, float]] = deque()
        self._rembs: deque[tuple[float, int]] = deque()
        self._reports = 0
        self._packets_reported = 0
        self._loss = 0.0
        self._late_in_a_row = 0
        self._queue = 0.0
        self._overflows = 0
        self._overflowed = False
        self._settle = SETTLE
        self._train: _Train | None = None
        self._train_at = self._train_again_at = float("-inf")
        self._failures = [0] * len(self._bitrates)
        self._upgraded_at = float("-inf")
        self._changed_at = float("-inf")
        self._troubled_at: float | None = None
        self._severe_since: float | None = None
        self._limited_until = float("-inf")
        self._paused_until: float | None = None
        self._pauses = 0

    def start_at(self, rung: int, now: float) -> None:
        """Note that somebody chose that quality; the search goes on from there."""
        self._move(rung, now)
        self._paused_until = None

    def update(self, now: float, seen: Observation) -> Decision:
        """Take in what is known at `now` (seconds of a monotonic clock) and decide."""
        if self._troubled_at is None:
            self._troubled_at = now
        if self._paused_until is not None:
            if now < self._paused_until:
                return self._decision(now)
            self._paused_until = None
            self._move(self._rung, now)
        self._take(now, seen)
        train = 0
        if self._overflowed or now - self._changed_at >= self._settle:
            trouble = self._trouble(now, seen)
            if trouble:
                self._troubled(now, seen)
            elif self._rung > 0 and now - self._troubled_at >= self._patience():
                train = self._try_better(now, seen)
            if not trouble and now - self._troubled_at > SEVERE_FOR:
                self._severe_since = None
                self._pauses = 0
        return self._decision(now, train)

    def _decision(self, now: float, train: int = 0) -> Decision:
        limited = now < self._limited_until
        pace = PACE * self._bitrates[self._rung] if limited else None
        return Decision(None if self._paused_until is not None else self._rung, pace, train)

    # what is known

    def _take(self, now: float, seen: Observation) -> None:
        self._sent.append((now, seen))
        self._overflowed = seen.overflows > self._overflows
        self._overflows = seen.overflows
        while len(self._sent) > 2 and now - self._sent[1][0] >= LONGEST_WINDOW:
            self._sent.popleft()
        if seen.remb and (not self._rembs or self._rembs[-1][1] != seen.remb):
            self._rembs.append((now, seen.remb))
        while self._rembs and now - self._rembs[0][0] > 2 * WINDOW:
            self._rembs.popleft()
        if seen.reports == self._reports:
            return
        self._reports = seen.reports
        packets, self._packets_reported = seen.packets - self._packets_reported, seen.packets
        if now - self._changed_at >= self._settle:
            # a report about few packets weighs little: one of ten lost is no tenth
            self._loss += (seen.fraction_lost - self._loss) * min(packets / 100, 0.7)
        if seen.round_trip is not None:
            self._take_round_trip(now, seen.round_trip)

    def _take_round_trip(self, now: float, seconds: float) -> None:
        trips = self._round_trips
        while trips and trips[-1][1] >= seconds:  # only what can still become the least is kept
            trips.pop()
        trips.append((now, seconds))
        while now - trips[0][0] > _LEAST_RTT_FOR:
            trips.popleft()
        least, before = trips[0][1], self._queue
        self._queue = seconds - least
        emptying = self._queue < EMPTYING * before
        late = self._queue > max(QUEUE, least / 2) and not emptying
        self._late_in_a_row = self._late_in_a_row + 1 if late else 0

    def _rate(self) -> float:
        """Return what is sent of late, bit/s."""
        ended, last = self._sent[-1]
        began, first = next(
            (entry for entry in reversed(self._sent) if ended - entry[0] >= WINDOW), self._sent[0]
        )
        seconds = ended - began
        return (last.octets - first.octets) * 8 / seconds if seconds > WINDOW / 4 else 0.0

    def _asked_again(self) -> float:
        """Return the share of what was sent of late that the viewer asked for again."""
        ended, last = self._sent[-1]
        for began, first in reversed(self._sent):
            packets = last.packets - first.packets
            if ended - began >= WINDOW / 2 and packets >= LEAST_PACKETS:
                return (last.asked_again - first.asked_again) / packets
        return 0.0

    def _trouble(self, now: float, seen: Observation) -> bool:
        """Whether the link is full."""
        if self._overflowed or self._loss > LOSSY or self._asked_again() > ASKED_AGAIN:
            return True
        rate = self._rate()
        if rate < NEAR * self._bitrates[self._rung]:
            return False
        if self._late_in_a_row >= 2:
            return True
        if self._queue < SMALL_QUEUE or now - self._train_at <= 2 * WINDOW:  # a train looks like a queue
            return False
        height = max((remb for at, remb in self._rembs if now - at <= 2 * WINDOW), default=0)
        return bool(seen.remb) and seen.remb < REMB_FELL * height and seen.remb < rate

    # what follows

    def _troubled(self, now: float, seen: Observation) -> None:
        self._troubled_at = now
        self._train = None
        self._limited_until = now + LIMITED_FOR
        if self._rung == len(self._bitrates) - 1:
            self._suffer(now)
            return
        if now - self._upgraded_at < TRIAL:
            self._failures[self._rung] += 1
            self._move(self._rung + 1, now)  # where it was well
            return
        if self._failures[self._rung]:
            self._failures[self._rung] = 1
        self._move(self._lower(seen), now)

    def _lower(self, seen: Observation) -> int:
        """Return the best of the lower qualities that what arrives now has room for."""
        arrives = self._rate() * (1 - max(self._loss, min(self._asked_again(), 1.0)))
        if 0.4 * arrives <= seen.remb:  # far less: it has not caught up with what we send yet
            arrives = min(arrives, seen.remb)
        rung = self._rung + 1
        while rung < len(self._bitrates) - 1 and self._bitrates[rung] > arrives:
            rung += 1
        return rung

    def _suffer(self, now: float) -> None:
        """There is nothing lower: pause if it is far too much, and has been for a while."""
        if self._loss < SEVERE_LOSS and self._queue < SEVERE_QUEUE:
            self._severe_since = None
        elif self._severe_since is None:
            self._severe_since = now
        elif now - self._severe_since >= SEVERE_FOR:
            self._paused_until = now + RESUME_AFTER[min(self._pauses, len(RESUME_AFTER) - 1)]
            self._pauses += 1
            self._severe_since = None

    def _try_better(self, now: float, seen: Observation) -> int:
        """Change to the next better quality if a train of packets says that the link can take it, or nobody
        can tell. Return the packets of a train to send.
        """
        train, wanted = self._train, self._bitrates[self._rung - 1]
        if train is None:
            if not self._round_trips:
                self._upgrade(now)
            elif now >= self._train_again_at:
                least, most = TRAIN_PACKETS
                packets = min(max(round(wanted * TRAIN_SECONDS / 8 / TRAIN_PACKET), least), most)
                self._train_at = now
                self._train = _Train(now, packets * TRAIN_PACKET, seen.trains, seen.reports)
                return packets
        elif seen.trains > train.before:
            late = seen.train_trip - self._least_of_late(train.sent_at)
            if late * wanted <= train.size * 8:
                self._upgrade(now)
            else:
                self._train_failed(now)
        elif now - train.sent_at >= TRAIN_LOST and seen.reports > train.reports + 1:
            self._train_failed(now)
        elif now - train.sent_at >= UNANSWERED:
            self._upgrade(now)
        return 0

    def _least_of_late(self, now: float) -> float:
        """Return the least round trip of the last seconds: the way may have become longer."""
        trips = self._round_trips  # ever longer ones
        return next((trip for at, trip in trips if now - at <= _RECENT), trips[-1][1])

    def train_impossible(self, now: float) -> None:
        """Note that no train could be sent: the better quality is tried without."""
        if self._train is not None:
            self._upgrade(now)

    def _train_failed(self, now: float) -> None:
        self._train = None
        self._train_again_at = now + TRAIN_EVERY

    def _upgrade(self, now: float) -> None:
        self._upgraded_at = now
        self._move(self._rung - 1, now, TRIAL_SETTLE)

    def _patience(self) -> float:
        failures = self._failures[self._rung - 1]
        return UPGRADE_AFTER[min(failures, len(UPGRADE_AFTER) - 1)]

    def _move(self, rung: int, now: float, settle: float = SETTLE) -> None:
        """Change over, and judge by what happens from now on, after `settle` seconds."""
        self._rung = rung
        self._settle = settle
        self._train = None
        self._changed_at = self._troubled_at = now
        self._loss = 0.0
        self._late_in_a_row = 0
        self._sent.clear()
        self._rembs.clear()
