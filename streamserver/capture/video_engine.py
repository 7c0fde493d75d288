"""Screen to H.264, in the capture thread."""

from __future__ import annotations

import select
import time
from contextlib import closing
from dataclasses import dataclass, field

from .bit_budget import BitBudget
from .clock import MachinePauses, rtp_time
from .frames import VIDEO_CLOCK_RATE, EncodedFrame
from .metrics import StreamMetrics
from .rows import Rows
from .schedule import Step, VideoSchedule
from .screen_grabber import Display, ScreenGrabber
from .worker import Worker
from .x264 import SETTLED_PSNR, VBV_SECONDS, H264Encoder
from .yuv import convert_rows


@dataclass(frozen=True, slots=True)
class VideoEngine:
    """Captures a display and encodes what changes; calling it runs until the worker stops.

    `fps`: pictures a second at most. `bitrate`: kbit/s at most.
    """

    display: Display
    fps: float
    bitrate: int
    metrics: StreamMetrics
    pauses: MachinePauses = field(default_factory=MachinePauses)

    def __call__(self, worker: Worker) -> None:
        """Capture until `worker.stopping`; raises when the X server or the encoder fails."""
        with closing(ScreenGrabber(self.display)) as grabber:
            _Run(self, worker, grabber).loop()


class _Run:
    """One connection's life."""

    def __init__(self, engine: VideoEngine, worker: Worker, grabber: ScreenGrabber) -> None:
        self._engine = engine
        self._worker = worker
        self._grabber = grabber
        self._schedule = VideoSchedule(engine.fps, SETTLED_PSNR)
        self._encoder: H264Encoder | None = None
        self._budget = BitBudget(engine.bitrate * 1000, engine.fps, VBV_SECONDS)
        self._poll = select.poll()
        self._poll.register(grabber.fileno(), select.POLLIN)
        self._poll.register(worker.fileno(), select.POLLIN)

    def loop(self) -> None:
        worker, grabber, schedule = self._worker, self._grabber, self._schedule
        answered = worker.keyframe_requests
        while not worker.stopping:
            if grabber.poll():
                schedule.screen_changed()
            if answered != worker.keyframe_requests:
                answered = worker.keyframe_requests
                schedule.keyframe_requested()
            step = schedule.next(time.monotonic())
            if not step.encode:
                self._wait(step.wait)
            elif not worker.has_room:
                self._wait(None)
            else:
                self._encode(step)

    def _wait(self, seconds: float | None) -> None:
        self._poll.poll(None if seconds is None else seconds * 1000)
        self._worker.acknowledge()

    def _encode(self, step: Step) -> None:
        grabber = self._grabber
        bands: list[Rows] = []
        if grabber.poll():
            bands = grabber.read()
            if not bands:
                self._schedule.screen_unchanged()
                return
        captured_at, taken_at = time.monotonic(), time.time()
        encoder = self._encoder_that_fits()
        if bands:
            picture = encoder.writable_picture()
            for band in bands:
                convert_rows(grabber.address, grabber.stride, picture, band)
        large = step.keyframe or sum(band.height for band in bands) * 2 > grabber.height
        if large and self._budget.is_outdated(captured_at):
            encoder.restart()
            self._budget.restarted()
        encoded = encoder.encode(keyframe=step.keyframe)
        self._budget.spend(len(encoded.data), captured_at)
        self._schedule.encoded(captured_at, keyframe=encoded.keyframe, psnr=encoded.psnr)
        took = time.monotonic() - captured_at
        self._engine.metrics.encoded(len(encoded.data), took, keyframe=encoded.keyframe)
        paused = self._engine.pauses.total(captured_at, taken_at)
        stamp = rtp_time(captured_at + paused, VIDEO_CLOCK_RATE)
        self._worker.emit(EncodedFrame(encoded.data, encoded.keyframe, stamp, captured_at))

    def _encoder_that_fits(self) -> H264Encoder:
        width, height = self._grabber.width & ~1, self._grabber.height & ~1
        encoder = self._encoder
        if encoder is None or encoder.size != (width, height):
            encoder = self._encoder = H264Encoder(width, height, self._engine.fps, self._engine.bitrate)
            self._budget.restarted()
        return encoder
