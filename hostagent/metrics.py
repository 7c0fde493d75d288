"""What the agent counts: hypeman's names where it has them. `docs/host-agent.md` lists all."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hostagent.clock import Clock
from hostagent.instances.model import Level, State

_WAKE_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class LifecycleMetrics:
    """Transitions of instances, and how long they are at each level."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        """Make the metrics in `registry`."""
        self._clock = clock
        self._durations = {
            name: Histogram(
                f"hypeman_instances_{name}_duration_seconds",
                f"Seconds that `{name}` of an instance took.",
                ["status"],
                registry=registry,
                buckets=_DURATION_BUCKETS,
            )
            for name in ("create", "restore", "standby", "stop", "start")
        }
        self._transitions = Counter(
            "hypeman_instances_state_transitions",
            "Changes of state.",
            ["from", "to", "hypervisor"],
            registry=registry,
        )
        self._wakes = Histogram(
            "catnap_host_wake_seconds",
            "Seconds from the packet (or the call) until the instance ran again.",
            ["level"],
            registry=registry,
            buckets=_WAKE_BUCKETS,
        )
        self._reclaimed = Counter(
            "catnap_host_reclaimed_bytes",
            "Bytes of RAM that sleeping instances gave back.",
            registry=registry,
        )
        self._aborted = Counter(
            "catnap_host_sleeps_aborted",
            "Sleeps given up because somebody came, by the step they were at.",
            ["step"],
            registry=registry,
        )
        self._seconds = dict.fromkeys(Level, 0.0)
        self._counts = dict.fromkeys(Level, 0)
        self._counted_at = clock.monotonic()
        registry.register(_LevelSeconds(self.seconds_per_level))

    def took(self, name: str, seconds: float, status: str = "success") -> None:
        """Count a `create`, `restore`, `standby`, `stop` or `start`."""
        self._durations[name].labels(status).observe(seconds)

    def moved(self, before: Level | None, after: Level | None, runtime: str) -> None:
        """Count an instance that changed its level; None is not there."""
        self._advance()
        if before is not None:
            self._counts[before] -= 1
        if after is not None:
            self._counts[after] += 1
        if before is not None and after is not None and (one := _state(before)) != (other := _state(after)):
            self._transitions.labels(one, other, runtime).inc()

    def woke(self, level: Level, seconds: float) -> None:
        """Count a wake from a level."""
        self._wakes.labels(level.value).observe(seconds)

    def reclaimed(self, amount: int) -> None:
        """Count RAM given back."""
        self._reclaimed.inc(max(0, amount))

    def aborted(self, step: str) -> None:
        """Count a sleep that was given up."""
        self._aborted.labels(step).inc()

    def seconds_per_level(self) -> dict[Level, float]:
        """Return the seconds all instances together have been at each level."""
        self._advance()
        return dict(self._seconds)

    def _advance(self) -> None:
        now = self._clock.monotonic()
        for level, count in self._counts.items():
            self._seconds[level] += count * (now - self._counted_at)
        self._counted_at = now


def _state(level: Level) -> str:
    if level is Level.AWAKE:
        return State.RUNNING.value
    return (State.STOPPED if level is Level.STOPPED else State.STANDBY).value


class _LevelSeconds(Collector):
    """`catnap_host_level_seconds_total`, worked out when it is read."""

    def __init__(self, read: Callable[[], dict[Level, float]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "catnap_host_level_seconds", "Seconds that instances have been at each level.", labels=["level"]
        )
        for level, seconds in self._read().items():
            family.add_metric([level.value], seconds)
        yield family

    def describe(self) -> Iterator[Metric]:
        yield CounterMetricFamily("catnap_host_level_seconds", "", labels=["level"])


class InstanceCollector(Collector):
    """`hypeman_instances_total`: how many there are in each state, of each runtime; read from memory."""

    def __init__(self, count: Callable[[], dict[tuple[str, str], int]]) -> None:
        """`count` returns the numbers by (state, runtime)."""
        self._count = count

    def collect(self) -> Iterator[Metric]:
        """Yield the gauge."""
        family = GaugeMetricFamily(
            "hypeman_instances_total", "Instances by state.", labels=["state", "hypervisor"]
        )
        for (state, runtime), number in self._count().items():
            family.add_metric([state, runtime], number)
        yield family

    def describe(self) -> Iterator[Metric]:
        """Name the gauge without reading."""
        yield GaugeMetricFamily("hypeman_instances_total", "", labels=["state", "hypervisor"])
