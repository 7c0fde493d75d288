"""A media stream that is captured by a worker thread while it has listeners."""

from __future__ import annotations

from .fanout import Fanout, Seat
from .frames import EncodedFrame
from .metrics import StreamMetrics
from .stream import FrameListener, MediaKind
from .worker import FIRST_RETRY, Engine, Worker


class CapturedStream:
    """A `MediaStream`: one engine, encoded once, for all listeners.

    Lives on the event loop; the engine runs in a thread that begins with the first listener and ends with
    the last.
    """

    def __init__(
        self,
        stream_id: str,
        kind: MediaKind,
        codec: str,
        engine: Engine,
        metrics: StreamMetrics,
        *,
        first_retry: float = FIRST_RETRY,
    ) -> None:
        self.id = stream_id
        self.kind: MediaKind = kind
        self.codec = codec
        self._engine = engine
        self._metrics = metrics
        self._first_retry = first_retry
        self._fanout = Fanout(starts_with_keyframe=kind == "video", occupied=self._occupied)
        self._worker: Worker | None = None
        self._workers: set[Worker] = set()
        self._closed = False

    @property
    def is_capturing(self) -> bool:
        """Whether a capture thread runs for it."""
        return self._worker is not None

    def subscribe(self, listener: FrameListener) -> Seat:
        """Start listening, see `MediaStream.subscribe`; a closed stream delivers nothing."""
        seat = self._fanout.join(listener)
        self.request_keyframe()
        return seat

    def request_keyframe(self) -> None:
        """Ask for a key frame for everyone, see `MediaStream.request_keyframe`."""
        if self._worker is not None:
            self._worker.request_keyframe()

    async def close(self) -> None:
        """Drop all listeners and wait until the capture thread has ended."""
        self._closed = True
        self._fanout.close()
        for worker in tuple(self._workers):
            await worker.ended()

    def _occupied(self, listeners: int) -> None:
        self._metrics.listeners.set(listeners)
        if listeners and self._worker is None and not self._closed:
            self._start()
        elif not listeners and self._worker is not None:
            self._worker.stop()
            self._worker = None
            self._metrics.active.set(0)

    def _start(self) -> None:
        self._workers = {worker for worker in self._workers if not worker.has_ended}
        self._worker = Worker(
            self.id,
            self._engine,
            self._deliver,
            broke=self._metrics.failures.inc,
            first_retry=self._first_retry,
        )
        self._workers.add(self._worker)
        self._metrics.runs.inc()
        self._metrics.active.set(1)

    def _deliver(self, frame: EncodedFrame) -> None:
        self._fanout.deliver(frame)
