"""The metrics of this room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

CLIENT_EVENTS = frozenset(
    [
        "client/heartbeat",
        "system/logs",
        "signal/request",
        "signal/restart",
        "signal/offer",
        "signal/answer",
        "signal/candidate",
        "signal/video",
        "signal/audio",
        "control/request",
        "control/release",
        "control/move",
        "control/scroll",
        "control/buttonpress",
        "control/buttondown",
        "control/buttonup",
        "control/keypress",
        "control/keydown",
        "control/keyup",
        "control/cut",
        "control/copy",
        "control/select_all",
        "control/paste",
        "screen/set",
        "clipboard/set",
        "keyboard/map",
        "keyboard/modifiers",
        "control/touchbegin",
        "control/touchupdate",
        "control/touchend",
        "send/unicast",
        "send/broadcast",
    ]
)
"""Events of clients that the server itself handles."""

SERVER_EVENTS = frozenset(
    [
        "system/init",
        "system/admin",
        "system/settings",
        "system/disconnect",
        "system/heartbeat",
        "signal/provide",
        "signal/answer",
        "signal/restart",
        "signal/video",
        "signal/audio",
        "signal/close",
        "session/created",
        "session/deleted",
        "session/profile",
        "session/state",
        "session/cursors",
        "browser/state",
        "control/host",
        "control/request",
        "screen/updated",
        "clipboard/updated",
        "broadcast/status",
        "file_chooser_dialog/opened",
        "file_chooser_dialog/closed",
        "send/unicast",
        "send/broadcast",
    ]
)
"""Events of the server itself."""

OTHER = "other"
"""The label of every other event: a plugin's, or one that nobody knows."""


class MessageCounts(Collector):
    """How many messages went in and out, by event.

    Counted without the library's locks: one message to everybody counts as often as there are clients, and
    all of it happens on the event loop.
    """

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    def collect(self) -> Iterator[Metric]:
        """Yield the metric as it is now."""
        family = CounterMetricFamily(
            "catnap_websocket_messages",
            "Messages of WebSocket clients (in) and to them (out).",
            labels=("direction", "event"),
        )
        for direction, counts in (("in", self.received), ("out", self.sent)):
            for event, count in tuple(counts.items()):
                family.add_metric((direction, event), count)
        yield family


class WebSocketMetrics:
    """Counts what goes in and out; label values are the events of `docs/websocket.md` and `other`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counts = MessageCounts()
        registry.register(self._counts)
        self.connections = Gauge(
            "catnap_websocket_connections", "WebSockets that are open.", registry=registry
        )
        self.bad_messages = prometheus.Counter(
            "catnap_websocket_bad_messages",
            "Messages that were ignored because they are malformed.",
            registry=registry,
        )
        self.slowed = prometheus.Counter(
            "catnap_websocket_slowed",
            "Messages that had to wait because their client sends more than session.message_rate.",
            registry=registry,
        )
        self.closed_slow = prometheus.Counter(
            "catnap_websocket_closed_slow",
            "WebSockets closed because their client did not read what it was sent.",
            registry=registry,
        )

    def received(self, event: str) -> None:
        """Count a message from a client."""
        self._counts.received[event if event in CLIENT_EVENTS else OTHER] += 1

    def sent(self, event: str) -> None:
        """Count a message to a client."""
        self._counts.sent[event if event in SERVER_EVENTS else OTHER] += 1
