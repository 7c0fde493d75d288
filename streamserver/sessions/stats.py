"""How many are here: for `GET /api/stats` and for the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge
from pydantic import JsonValue

from streamserver.sessions.model import Session, SessionId, rfc3339


@dataclass(frozen=True, slots=True)
class SessionStats:
    """Counts of connected sessions, and when the last one of a kind left."""

    controller_id: SessionId | None
    server_started_at: datetime
    total_users: int
    last_user_left_at: datetime | None
    total_admins: int
    last_admin_left_at: datetime | None

    def to_wire(self) -> dict[str, JsonValue]:
        """Return neko's shape: the time of leaving only while nobody of the kind is here."""
        wire: dict[str, JsonValue] = {"has_host": self.controller_id is not None}
        if self.controller_id is not None:
            wire["host_id"] = self.controller_id
        wire["server_started_at"] = rfc3339(self.server_started_at)
        wire["total_users"] = self.total_users
        if self.last_user_left_at and not self.total_users:
            wire["last_user_left_at"] = rfc3339(self.last_user_left_at)
        wire["total_admins"] = self.total_admins
        if self.last_admin_left_at and not self.total_admins:
            wire["last_admin_left_at"] = rfc3339(self.last_admin_left_at)
        return wire


def register_metrics(registry: CollectorRegistry, sessions: Callable[[], Iterable[Session]]) -> None:
    """Add gauges that count `sessions()` whenever they are read."""

    def gauge(name: str, text: str, counts: Callable[[Session], bool]) -> None:
        Gauge(name, text, registry=registry).set_function(lambda: sum(map(counts, sessions())))

    gauge("catnap_sessions", "Sessions that are known, connected or not.", lambda _: True)
    gauge("catnap_sessions_connected", "Sessions with a WebSocket.", lambda session: session.is_connected)
    gauge("catnap_sessions_watching", "Sessions with picture or sound.", lambda session: session.is_watching)
