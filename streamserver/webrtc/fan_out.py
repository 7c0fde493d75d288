"""What all viewers' senders share: each frame's packets, and two timers."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from streamserver.capture.frames import EncodedFrame
from streamserver.capture.stream import MediaKind
from streamserver.logs import get_logger

from .chunks import Chunk, Layout, lay_out
from .payloads import h264_payloads, opus_payloads

log = get_logger("webrtc")

PACE_INTERVAL = 0.002
"""Seconds from one burst of a large frame to the next: 75 Mbit/s per viewer."""

TURN = 0.0005
"""Seconds for which senders hold the event loop; then everything else has its turn, and they go on."""

AT_ONCE = 0.2
"""Share of a turn that the call which brings a frame may use: it has the frame's packets to make as well."""

REPORT_INTERVALS = (0.5, 1.5)
"""Seconds between a sender's reports, drawn anew each time (RFC 3550 §6.2)."""

REPORT_GRAIN = 0.05
"""Seconds; reports due within it are sent together."""

REMEMBERED_FRAMES = 8
"""Frames whose packets are kept for the next viewer: each stream's latest, and key frames for newcomers."""


class Waiting(Protocol):
    """A sender, as its timers see it."""

    def flush(self) -> bool:
        """Send the next burst of what waits; True when nothing waits any more."""

    def report(self) -> bool:
        """Send a sender report; False when there is no sender any more."""


class FanOut:
    """Packets of frames, made once for all viewers, and whose turn it is to send. On the event loop only.

    However many viewers a frame has, the loop is held for about `turn` seconds at a time: input, checks and
    requests are looked after in between.
    """

    def __init__(self, *, turn: float = TURN) -> None:
        self._turn = turn
        self._frames: OrderedDict[int, tuple[EncodedFrame, dict[Layout, list[Chunk]]]] = OrderedDict()
        self._ready: OrderedDict[Waiting, None] = OrderedDict()
        self._waiting: dict[Waiting, None] = {}
        self._turn_began: float | None = None
        self._pacer: asyncio.TimerHandle | None = None
        self._due: list[tuple[float, int, Waiting]] = []
        self._order = itertools.count()
        self._reporter: asyncio.TimerHandle | None = None
        self._closed = False

    def chunks(self, frame: EncodedFrame, kind: MediaKind, layout: Layout) -> list[Chunk]:
        """Return the frame's packets for viewers of that layout."""
        known = self._frames.get(id(frame))  # it is alive as long as it is here, so the id is its own
        if known is None:
            known = self._frames[id(frame)] = (frame, {})
            if len(self._frames) > REMEMBERED_FRAMES:
                self._frames.popitem(last=False)
        chunks = known[1].get(layout)
        if chunks is None:
            video = kind == "video"
            payloads = h264_payloads(frame.data) if video else opus_payloads(frame.data)
            chunks = known[1][layout] = lay_out(payloads, layout, marked=video)
        return chunks

    def send(self, sender: Waiting) -> None:
        """Let the sender flush, at once or when it is its turn, and then every `PACE_INTERVAL` until nothing
        waits.
        """
        if self._closed:
            return
        if self._ready or not self._has_time(AT_ONCE):
            self._ready[sender] = None
        elif not sender.flush():
            self.pace(sender)

    def pace(self, sender: Waiting) -> None:
        """Let the sender flush every `PACE_INTERVAL` until nothing waits."""
        if self._closed or sender in self._ready:
            return
        self._waiting[sender] = None
        if self._pacer is None:
            self._pacer = asyncio.get_running_loop().call_later(PACE_INTERVAL, self._flush)

    def report_soon(self, sender: Waiting) -> None:
        """Let the sender report now, and from then on regularly."""
        self._schedule(sender, 0.0)

    def forget(self, sender: Waiting) -> None:
        """Let it flush no more."""
        self._ready.pop(sender, None)
        self._waiting.pop(sender, None)

    def close(self) -> None:
        """Stop the timers."""
        self._closed = True
        for timer in (self._pacer, self._reporter):
            if timer is not None:
                timer.cancel()
        self._ready.clear()
        self._waiting.clear()
        self._due.clear()
        self._frames.clear()

    def _has_time(self, share: float = 1.0) -> bool:
        """Whether senders had less than that share of this turn; the next begins as soon as it can."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._turn_began is None:
            self._turn_began = now
            loop.call_at(now, self._begin_turn)  # not call_soon: that comes before what has arrived
        return now - self._turn_began < self._turn * share

    def _begin_turn(self) -> None:
        self._turn_began = None
        self._work()

    def _work(self) -> None:
        """Flush those whose turn it is, one at least, as far as there is time."""
        while self._ready:
            sender, _ = self._ready.popitem(last=False)
            if not _guarded(sender.flush, otherwise=True):
                self.pace(sender)
            if not self._has_time():
                return

    def _flush(self) -> None:
        self._pacer = None
        self._ready.update(self._waiting)
        self._waiting.clear()
        self._work()

    def _schedule(self, sender: Waiting, delay: float) -> None:
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        first = self._due[0][0] if self._due else None
        due = loop.time() + delay
        heapq.heappush(self._due, (due, next(self._order), sender))
        if self._reporter is None or first is None or due < first:
            if self._reporter is not None:
                self._reporter.cancel()
            self._reporter = loop.call_at(due, self._report)

    def _report(self) -> None:
        self._reporter = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        again = []
        while self._due and self._due[0][0] <= now + REPORT_GRAIN:
            _, _, sender = heapq.heappop(self._due)
            if _guarded(sender.report, otherwise=False):
                again.append(sender)
            if not self._has_time():
                break
        for sender in again:
            spread = random.uniform(*REPORT_INTERVALS)  # noqa: S311 no secret
            heapq.heappush(self._due, (now + spread, next(self._order), sender))
        if self._due and not self._closed:
            self._reporter = loop.call_at(self._due[0][0], self._report)


def _guarded(work: Callable[[], bool], *, otherwise: bool) -> bool:
    """Do one sender's work; what is wrong with it must not keep the others from theirs."""
    try:
        return work()
    except Exception:
        log.exception("sending to a viewer failed")
        return otherwise
