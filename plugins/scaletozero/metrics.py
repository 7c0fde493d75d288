"""The gate's metrics."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from plugins.scaletozero.gate_controller import WriteReport
from plugins.scaletozero.holds import HoldKind
from plugins.scaletozero.snapshot import GateSnapshot

WRITE_BUCKETS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Seconds: a healthy control file answers in microseconds, a sick one in seconds."""


class _SnapshotCollector(Collector):
    """Reads the gate when somebody scrapes."""

    def __init__(self, snapshot: Callable[[], GateSnapshot]) -> None:
        self._snapshot = snapshot

    def describe(self) -> Iterator[Metric]:
        return iter((_disabled(), _holds(), _awake_seconds()))

    def collect(self) -> Iterator[Metric]:
        now = self._snapshot()
        disabled, holds, awake_seconds = _disabled(), _holds(), _awake_seconds()
        disabled.add_metric([], float(now.in_force))
        for kind in HoldKind:
            holds.add_metric([kind.value], now.count(kind))
            awake_seconds.add_metric([kind.value], now.awake_seconds[kind])
        return iter((disabled, holds, awake_seconds))


def _disabled() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "scaletozero_disabled", "1 while our '+' is in force and the machine is held awake by us."
    )


def _holds() -> GaugeMetricFamily:
    return GaugeMetricFamily("scaletozero_holds", "What holds the machine awake, by kind.", labels=["kind"])


def _awake_seconds() -> CounterMetricFamily:
    return CounterMetricFamily(
        "scaletozero_awake_seconds", "Seconds with at least one hold of that kind.", labels=["kind"]
    )


class GateMetrics:
    """Everything `/metrics` says about the gate, from construction to `close`."""

    def __init__(self, registry: CollectorRegistry, snapshot: Callable[[], GateSnapshot]) -> None:
        """Register with `registry`; `snapshot` is called at each scrape, on any thread."""
        self._registry = registry
        self._from_snapshot = _SnapshotCollector(snapshot)
        self._writes = Counter(
            "scaletozero_writes_total",
            "Writes to the control file, by command and result (written, absent, refused, failed).",
            ["command", "result"],
            registry=registry,
        )
        self._seconds = Histogram(
            "scaletozero_write_seconds",
            "How long a write to the control file took.",
            buckets=WRITE_BUCKETS,
            registry=registry,
        )
        registry.register(self._from_snapshot)

    def count(self, report: WriteReport) -> None:
        """Count one write."""
        self._writes.labels(report.command.value, report.outcome.result.value).inc()
        self._seconds.observe(report.seconds)

    def close(self) -> None:
        """Take the metrics out of the registry again."""
        for collector in (self._writes, self._seconds, self._from_snapshot):
            self._registry.unregister(collector)
