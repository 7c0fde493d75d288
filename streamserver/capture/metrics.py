"""What capture tells Prometheus; names and labels of neko's where neko has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric

LABELS = ("video_id", "codec_name", "codec_type")

_ENCODE_BUCKETS = (0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.016, 0.024, 0.033, 0.05, 0.1, 0.25)


@dataclass(slots=True)
class _Totals:
    """Plain numbers that one thread adds to, read when somebody scrapes."""

    size: int = 0


class _Bytes:
    """`neko_capture_streamsink_bytes`: a counter without the `_total` that `Counter` appends."""

    NAME = "neko_capture_streamsink_bytes"

    def __init__(self) -> None:
        self._totals: dict[tuple[str, ...], _Totals] = {}

    def of(self, labels: tuple[str, ...]) -> _Totals:
        return self._totals.setdefault(labels, _Totals())

    def collect(self) -> Iterator[Metric]:
        metric = Metric(self.NAME, "Bytes of encoded media a stream has produced.", "unknown")
        for labels, totals in list(self._totals.items()):
            metric.add_sample(self.NAME, dict(zip(LABELS, labels, strict=True)), totals.size)
        yield metric


@dataclass(frozen=True, slots=True)
class StreamMetrics:
    """The series of one stream; methods may be called from its capture thread."""

    listeners: Gauge
    runs: Counter
    active: Gauge
    frames: Counter
    keyframes: Counter
    encode_seconds: Histogram
    failures: Counter
    _bytes: _Totals = field(repr=False)

    def encoded(self, size: int, seconds: float, *, keyframe: bool) -> None:
        """Count one encoded frame of `size` bytes that took `seconds` of the clock to encode."""
        self._bytes.size += size
        self.frames.inc()
        self.encode_seconds.observe(seconds)
        if keyframe:
            self.keyframes.inc()


class CaptureMetrics:
    """The metrics of all streams, made once for a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._bytes = _Bytes()
        registry.register(self._bytes)
        pipeline = ("submodule", *LABELS)
        self._listeners = Gauge(
            "neko_capture_streamsink_listeners", "Listeners of a stream.", LABELS, registry=registry
        )
        self._runs = Counter(
            "neko_capture_pipelines",
            "Times the capture of a stream was started.",
            pipeline,
            registry=registry,
        )
        self._active = Gauge(
            "neko_capture_pipelines_active", "Captures running now.", pipeline, registry=registry
        )
        self._frames = Counter("catnap_capture_frames", "Frames encoded.", LABELS, registry=registry)
        self._keyframes = Counter(
            "catnap_capture_keyframes", "Key frames encoded.", LABELS, registry=registry
        )
        self._encode_seconds = Histogram(
            "catnap_capture_encode_seconds",
            "Time to convert and encode a frame.",
            LABELS,
            buckets=_ENCODE_BUCKETS,
            registry=registry,
        )
        self._failures = Counter(
            "catnap_capture_failures",
            "Times the capture of a stream broke and was started again.",
            LABELS,
            registry=registry,
        )

    def stream(self, video_id: str, codec_name: str, codec_type: str) -> StreamMetrics:
        """Return the series of one stream; they are there, at zero, from now on."""
        labels = (video_id, codec_name, codec_type)
        return StreamMetrics(
            self._listeners.labels(*labels),
            self._runs.labels("streamsink", *labels),
            self._active.labels("streamsink", *labels),
            self._frames.labels(*labels),
            self._keyframes.labels(*labels),
            self._encode_seconds.labels(*labels),
            self._failures.labels(*labels),
            self._bytes.of(labels),
        )
