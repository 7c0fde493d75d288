"""What the controller counts, by hypeman's names."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PHASES: Final = ("active", "idle_countdown", "ready_for_standby", "ineligible")


class StandbyMetrics:
    """Counters of one controller in the registry it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "hypeman_auto_standby_conntrack_events",
            "Connection events by kind (new, destroy) and what they were for the instance",
            ["event", "result"],
            registry=registry,
        )
        self.resync_seconds = Histogram(
            "hypeman_auto_standby_startup_resync_duration_seconds",
            "Reading all instances and connections when the agent starts",
            ["status"],
            registry=registry,
        )
        self.attempts = Counter(
            "hypeman_auto_standby_standby_attempts",
            "Instances put to sleep: success, error, or aborted because somebody came",
            ["status"],
            registry=registry,
        )
        self.errors = Counter(
            "hypeman_auto_standby_controller_errors",
            "What failed in the controller, by operation",
            ["operation"],
            registry=registry,
        )
        self.tracked = Gauge(
            "hypeman_auto_standby_tracked_instances_total",
            "Instances by phase",
            ["phase"],
            registry=registry,
        )
        self.connections = Gauge(
            "hypeman_auto_standby_active_connections_total",
            "Connections that keep instances awake",
            registry=registry,
        )
        self.in_flight = Gauge(
            "hypeman_auto_standby_standby_in_flight",
            "Instances that are going to sleep at this moment",
            registry=registry,
        )

    def measure(
        self, phase: Callable[[str], int], connections: Callable[[], int], in_flight: Callable[[], int]
    ) -> None:
        """Ask these when somebody scrapes, so that nothing is kept up to date in between."""
        for name in PHASES:
            self.tracked.labels(name).set_function(lambda name=name: float(phase(name)))  # type: ignore[misc]
        self.connections.set_function(lambda: float(connections()))
        self.in_flight.set_function(lambda: float(in_flight()))
