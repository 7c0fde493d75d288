"""What the trap counts."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class TrapMetrics:
    """The trap's metrics in one registry."""

    def __init__(self, registry: CollectorRegistry, waiting: Callable[[], int]) -> None:
        """`waiting` tells how many packets wait right now."""
        self.logged = Counter(
            "catnap_host_trap_packets",
            "Packets to frozen or reclaimed instances told by the kernel, at most 20 a second each",
            registry=registry,
        )
        self.held = Counter(
            "catnap_host_held_packets",
            "Packets to stopped instances that had to wait for the service",
            registry=registry,
        )
        self.dropped = Counter(
            "catnap_host_dropped_packets",
            "Packets to stopped instances that were dropped: too many (limit) or too late (deadline)",
            ["reason"],
            registry=registry,
        )
        for reason in ("limit", "deadline"):
            self.dropped.labels(reason)
        self.overruns = Counter(
            "catnap_host_trap_overruns",
            "Times the agent was too busy to be told of packets; the counters told whom to wake",
            registry=registry,
        )
        self.waiting = Gauge(
            "catnap_host_waiting_packets",
            "Packets that wait for stopped instances right now",
            registry=registry,
        )
        self.waiting.set_function(waiting)
