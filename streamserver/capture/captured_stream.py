"""A media stream that is captured while it has listeners."""

from __future__ import annotations

from .fanout import Fanout, Seat
from .metrics import StreamMetrics
from .source import Source
from .stream import FrameListener, MediaKind
from .worker import Outlet


class CapturedStream:
    """A `MediaStream`: one outlet of a source, encoded once, for all listeners. Lives on the event loop."""

    def __init__(
        self,
        stream_id: str,
        kind: MediaKind,
        codec: str,
        source: Source,
        outlet: Outlet,
        metrics: StreamMetrics,
    ) -> None:
        self.id = stream_id
        self.kind: MediaKind = kind
        self.codec = codec
        self._source = source
        self._outlet = outlet
        self._metrics = metrics
        self._fanout = Fanout(starts_with_keyframe=kind == "video", occupied=self._occupied)
        self._closed = False
        outlet.deliver = self._fanout.deliver

    @property
    def bitrate(self) -> int:
        """What it may use at most, bit/s."""
        return self._outlet.bitrate

    @property
    def is_capturing(self) -> bool:
        """Whether it is encoded now."""
        return self._outlet.wanted and self._source.is_capturing

    def subscribe(self, listener: FrameListener) -> Seat:
        """Start listening, see `MediaStream.subscribe`; a closed stream delivers nothing."""
        seat = self._fanout.join(listener)
        self.request_keyframe()
        return seat

    def request_keyframe(self) -> None:
        """Ask for a key frame for everyone, see `MediaStream.request_keyframe`."""
        if self._outlet.wanted:
            self._outlet.keyframe_requests += 1
            self._source.update()

    def close(self) -> None:
        """Drop all listeners; it stays closed. What else comes from its source goes on."""
        self._closed = True
        self._fanout.close()

    def _occupied(self, listeners: int) -> None:
        self._metrics.listeners.set(listeners)
        wanted = bool(listeners) and not self._closed
        if wanted == self._outlet.wanted:
            return
        self._outlet.wanted = wanted
        self._metrics.active.set(wanted)
        if wanted:
            self._metrics.runs.inc()
        self._source.update()
