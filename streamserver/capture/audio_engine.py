"""The browser's sound to Opus, in the capture thread."""

from __future__ import annotations

import select
import time
from contextlib import closing
from dataclasses import dataclass, field

from .clock import OPUS_FRAME_SECONDS, AudioTimeline, MachinePauses, rtp_time
from .frames import AUDIO_CLOCK_RATE, EncodedFrame
from .metrics import StreamMetrics
from .opus import OpusEncoder
from .pulse_source import CHUNK_BYTES, PulseSource, SoundServer
from .silence import SilenceGate
from .worker import Outlet, Worker

BACKLOG_LIMIT = 16
"""Packets on their way to the event loop at most: they are more and smaller than pictures."""

_SILENCE = bytes(CHUNK_BYTES)


@dataclass(frozen=True, slots=True)
class AudioEngine:
    """Records `source` of a sound server and encodes it at up to `bitrate` kbit/s."""

    sound: SoundServer
    source: str
    bitrate: int
    outlet: Outlet
    metrics: StreamMetrics
    pauses: MachinePauses = field(default_factory=MachinePauses)

    def __call__(self, worker: Worker) -> None:
        """Record until `worker.stopping`; raises when the recorder or the encoder fails."""
        encoder = OpusEncoder(self.bitrate)
        timeline = AudioTimeline()
        gate = SilenceGate()
        greeted = self.outlet.keyframe_requests
        with closing(PulseSource(self.sound, self.source)) as source:
            poll = select.poll()
            poll.register(source.fileno(), select.POLLIN)
            poll.register(worker.fileno(), select.POLLIN)
            while not worker.stopping:
                poll.poll()
                worker.acknowledge()
                if greeted != self.outlet.keyframe_requests:  # a new listener: let its player begin
                    greeted = self.outlet.keyframe_requests
                    gate.reopen()
                for chunk in source.read():
                    self._send(chunk, worker, encoder, timeline, gate)

    def _send(
        self, chunk: bytes, worker: Worker, encoder: OpusEncoder, timeline: AudioTimeline, gate: SilenceGate
    ) -> None:
        began = time.monotonic()
        place = timeline.place(began)
        if place is None or worker.backlog >= BACKLOG_LIMIT:
            return
        if not gate.admit(silent=chunk == _SILENCE, duration=OPUS_FRAME_SECONDS):
            return
        data = encoder.encode(chunk)
        self.metrics.encoded(len(data), time.monotonic() - began, keyframe=True)
        stamp = rtp_time(place + self.pauses.total(began, time.time()), AUDIO_CLOCK_RATE)
        worker.emit(self.outlet, EncodedFrame(data, True, stamp, place))
