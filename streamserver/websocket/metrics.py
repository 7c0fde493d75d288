"""The metrics of this room."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

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


class WebSocketMetrics:
    """Counts what goes in and out; label values are the events of `docs/websocket.md` and `other`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._messages = Counter(
            "catnap_websocket_messages",
            "Messages of WebSocket clients (in) and to them (out).",
            ("direction", "event"),
            registry=registry,
        )
        self.connections = Gauge(
            "catnap_websocket_connections", "WebSockets that are open.", registry=registry
        )
        self.bad_messages = Counter(
            "catnap_websocket_bad_messages",
            "Messages that were ignored because they are malformed.",
            registry=registry,
        )
        self.slowed = Counter(
            "catnap_websocket_slowed",
            "Messages that had to wait because their client sends more than session.message_rate.",
            registry=registry,
        )
        self.closed_slow = Counter(
            "catnap_websocket_closed_slow",
            "WebSockets closed because their client did not read what it was sent.",
            registry=registry,
        )

    def received(self, event: str) -> None:
        """Count a message from a client."""
        self._messages.labels("in", event if event in CLIENT_EVENTS else OTHER).inc()

    def sent(self, event: str) -> None:
        """Count a message to a client."""
        self._messages.labels("out", event if event in SERVER_EVENTS else OTHER).inc()
