"""What the API tells about an instance's sleep: hypeman's status object, and the longer answer to why."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import JsonValue

from hostagent.activity.contract import Lease
from hostagent.durations import format_duration
from hostagent.instances.model import Level
from hostagent.standby.decision import Assessment, Reason, Status
from hostagent.standby.ladder import Step

TRACKING_MODE = "conntrack_events_v4_v6_tcp_udp"


@dataclass(frozen=True, slots=True)
class AutoStandbyStatus:
    """hypeman's object, field by field; times are wall times in seconds since 1970."""

    supported: bool
    configured: bool
    enabled: bool
    eligible: bool
    status: Status
    reason: Reason
    active_inbound_connections: int
    idle_timeout: float | None
    idle_since: float | None
    last_inbound_activity_at: float | None
    next_standby_at: float | None
    hold_until: float | None
    countdown_remaining: float | None

    def to_wire(self) -> dict[str, JsonValue]:
        """Return the JSON form: times in RFC 3339, durations as Go writes them, nothing that is not known."""
        wire: dict[str, JsonValue] = {
            "supported": self.supported,
            "configured": self.configured,
            "enabled": self.enabled,
            "eligible": self.eligible,
            "status": self.status.value,
            "reason": self.reason.value,
            "active_inbound_connections": self.active_inbound_connections,
            "tracking_mode": TRACKING_MODE,
        }
        durations = {"idle_timeout": self.idle_timeout, "countdown_remaining": self.countdown_remaining}
        wire |= {name: format_duration(value) for name, value in durations.items() if value is not None}
        times = {
            "idle_since": self.idle_since,
            "last_inbound_activity_at": self.last_inbound_activity_at,
            "next_standby_at": self.next_standby_at,
            "hold_until": self.hold_until,
        }
        return wire | {name: rfc3339(value) for name, value in times.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Past:
    """A row of the status table that the instance stood at."""

    at: float
    """Since when (wall time)."""
    status: Status
    reason: Reason
    detail: str
    """The first piece of evidence, or nothing."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an instance is awake or asleep."""

    assessment: Assessment
    """Its times are not for showing: take those of `status`."""
    status: AutoStandbyStatus
    leases: tuple[Lease, ...]
    """With wall times."""
    steps: tuple[Step, ...]
    """How deep it would go, or goes, and when."""
    next_level: Level | None
    """Where time takes it next."""
    next_level_at: float | None
    """When (wall time); None when something else has to happen first."""
    history: tuple[Past, ...]
    """The oldest first."""


def rfc3339(stamp: float) -> str:
    """Return a wall time as the API writes it."""
    return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
