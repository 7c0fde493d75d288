"""Screen to H.264 in several qualities, in the capture thread: one picture, an encoder for each quality."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from av.video.frame import VideoFrame

from .clock import MachinePauses, rtp_time
from .frames import VIDEO_CLOCK_RATE, EncodedFrame
from .ladder import Rung
from .metrics import StreamMetrics
from .pointer import Pointer
from .rung_encoder import RungEncoder
from .screen_grabber import Display, ScreenGrabber
from .worker import Outlet, Worker
from .yuv import convert_rows, copy

POINTER_SHARE = 0.02
"""Share of the rows that a moved pointer changes, about."""


@dataclass(frozen=True, slots=True)
class VideoOutlet:
    """One quality of the picture, its series, and where its frames go."""

    rung: Rung
    metrics: StreamMetrics
    outlet: Outlet


@dataclass(frozen=True, slots=True)
class VideoEngine:
    """Captures a display and encodes what changes, for each outlet that is wanted; calling it runs until the
    worker stops.

    The qualities take turns, best first, in the one thread that also captures: they share the picture, so
    none may be encoded while it changes.
    """

    display: Display
    outlets: Sequence[VideoOutlet]
    pauses: MachinePauses = field(default_factory=MachinePauses)

    def __call__(self, worker: Worker) -> None:
        """Capture until `worker.stopping`; raises when the X server or an encoder fails."""
        with closing(ScreenGrabber(self.display)) as grabber, closing(_Run(self, worker, grabber)) as run:
            run.loop()


class _Run:
    """One connection's life."""

    def __init__(self, engine: VideoEngine, worker: Worker, grabber: ScreenGrabber) -> None:
        self._engine = engine
        self._worker = worker
        self._grabber = grabber
        self._picture: VideoFrame | None = None
        self._encoders: dict[str, RungEncoder] = {}
        self._answered: dict[str, int] = {}
        self._pointer: Pointer | None = None
        self._pointed: VideoFrame | None = None
        self._pointer_at = 0.0
        self._turn = 0
        self._poll = select.poll()
        self._poll.register(grabber.fileno(), select.POLLIN)
        self._poll.register(worker.fileno(), select.POLLIN)

    def close(self) -> None:
        if self._pointer is not None:
            self._pointer.close()

    def loop(self) -> None:
        while not self._worker.stopping:
            if self._grabber.poll():
                for encoder in self._encoders.values():
                    encoder.schedule.screen_changed()
            wanted = [one for one in self._engine.outlets if self._attend(one)]
            most = self._look_for_pointer(wanted)
            due, wait = self._next(wanted)
            if most is not None:
                wait = most if wait is None else min(wait, most)
            if due is None:
                self._turn = 0
                self._wait(wait)
            elif not self._worker.has_room:
                self._wait(None)
            else:
                self._turn = wanted.index(due) + 1
                self._encode(due)

    def _attend(self, one: VideoOutlet) -> bool:
        """Say whether that quality is wanted; begin or end it, and take note of requests for key frames."""
        name, outlet = one.rung.id, one.outlet
        if not outlet.wanted:
            self._encoders.pop(name, None)
            return False
        if name not in self._encoders:
            self._encoders[name] = self._begin(one)
        elif self._answered[name] != outlet.keyframe_requests:
            self._encoders[name].schedule.keyframe_requested()
        self._answered[name] = outlet.keyframe_requests
        return True

    def _begin(self, one: VideoOutlet) -> RungEncoder:
        encoding = one.rung.at(self._grabber.width, self._grabber.height)
        one.outlet.bitrate = encoding.bitrate * 1000
        return RungEncoder(encoding, modest=bool(self._encoders))

    def _look_for_pointer(self, wanted: Sequence[VideoOutlet]) -> float | None:
        """See whether the pointer moved, for the qualities that show it; return when to look again (s)."""
        showing = [one for one in wanted if one.rung.show_pointer]
        if not showing:
            return None
        now = time.monotonic()
        if now >= self._pointer_at:
            self._pointer_at = now + 1 / max(one.rung.fps for one in showing)
            if self._pointer is None:
                self._pointer = Pointer(self._engine.display)
            if self._pointer.moved():
                for one in showing:
                    self._encoders[one.rung.id].picture_changed(POINTER_SHARE)
        return self._pointer_at - now

    def _shown(self, one: VideoOutlet, picture: VideoFrame) -> VideoFrame:
        """Return the picture as that quality shows it: with the pointer in a copy of its own, or as it is."""
        if not one.rung.show_pointer or self._pointer is None:
            return picture
        pointed = self._pointed
        if pointed is None or (pointed.width, pointed.height) != (picture.width, picture.height):
            pointed = self._pointed = VideoFrame(picture.width, picture.height, "yuv420p")
        pointed.make_writable()
        copy(picture, pointed)
        self._pointer.draw(self._grabber, pointed)
        return pointed

    def _next(self, wanted: Sequence[VideoOutlet]) -> tuple[VideoOutlet | None, float | None]:
        """Return the first that is due from the present turn on, or how long to wait for one (s)."""
        now, wait = time.monotonic(), None
        turn = self._turn % len(wanted) if wanted else 0
        for one in (*wanted[turn:], *wanted[:turn]):
            step = self._encoders[one.rung.id].schedule.next(now)
            if step.encode:
                return one, None
            if step.wait is not None:
                wait = step.wait if wait is None else min(wait, step.wait)
        return None, wait

    def _wait(self, seconds: float | None) -> None:
        self._poll.poll(None if seconds is None else seconds * 1000)
        self._worker.acknowledge()

    def _encode(self, one: VideoOutlet) -> None:
        if self._grabber.is_outdated and not self._update_picture():
            return
        captured_at, taken_at = time.monotonic(), time.time()
        encoder = self._encoders.get(one.rung.id)
        if encoder is None or self._picture is None:  # the screen has another size: begin anew
            return
        encoded = encoder.encode(self._shown(one, self._picture), captured_at)
        if encoded is None:
            return
        took = time.monotonic() - captured_at
        one.metrics.encoded(len(encoded.data), took, keyframe=encoded.keyframe)
        paused = self._engine.pauses.total(captured_at, taken_at)
        stamp = rtp_time(captured_at + paused, VIDEO_CLOCK_RATE)
        self._worker.emit(one.outlet, EncodedFrame(encoded.data, encoded.keyframe, stamp, captured_at))

    def _update_picture(self) -> bool:
        """Bring the picture up to date; False when nothing of it has changed that can be seen."""
        grabber = self._grabber
        bands = grabber.read()
        if not bands:
            for encoder in self._encoders.values():
                encoder.nothing_new()
            return False
        width, height = grabber.width & ~1, grabber.height & ~1
        picture = self._picture
        if picture is None or (picture.width, picture.height) != (width, height):
            picture = self._picture = VideoFrame(width, height, "yuv420p")
            self._encoders.clear()
        picture.make_writable()
        for band in bands:
            convert_rows(grabber.address, grabber.stride, picture, band)
        for encoder in self._encoders.values():
            encoder.picture_changed(sum(band.height for band in bands) / height)
        return True
