"""Who is well: named probes that answer `GET /api/health`."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from streamserver.logs import get_logger

log = get_logger("health")


class HealthStatus(enum.StrEnum):
    """How a part of the server is doing, from good to bad."""

    OK = "ok"
    """Works."""
    DEGRADED = "degraded"
    """Serves people, but something it should do fails and is being retried."""
    FAILED = "failed"
    """Does not do its job."""


SEVERITY: Mapping[HealthStatus, int] = {status: rank for rank, status in enumerate(HealthStatus)}


@dataclass(frozen=True, slots=True)
class HealthReport:
    """One part's answer: a status, a sentence for the operator, and the figures behind it."""

    status: HealthStatus
    summary: str = ""
    """One sentence: what is wrong and what to do. May be empty when all is well."""
    details: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)

    def to_wire(self) -> dict[str, object]:
        """Return the report as `GET /api/health` shows it."""
        return {"status": self.status.value, "summary": self.summary, "details": dict(self.details)}


Probe = Callable[[], HealthReport]
"""Called on the event loop at each look; must return at once (no I/O)."""


class HealthRegistry:
    """The probes of all parts, by name. Used on the event loop only."""

    def __init__(self) -> None:
        self._probes: dict[str, Probe] = {}

    def register(self, name: str, probe: Probe) -> Callable[[], None]:
        """Add a probe and return the function that takes it out again.

        Raises:
            ValueError: the name has a probe already.
        """
        if name in self._probes:
            raise ValueError(f"a health probe named {name!r} exists already; choose another name")
        self._probes[name] = probe

        def unregister() -> None:
            if self._probes.get(name) is probe:
                del self._probes[name]

        return unregister

    def check(self) -> dict[str, HealthReport]:
        """Ask every probe, in the order they came. A probe that raises counts as failed."""
        return {name: _ask(name, probe) for name, probe in list(self._probes.items())}

    @staticmethod
    def overall(reports: Mapping[str, HealthReport]) -> HealthStatus:
        """Return the worst status among the reports; `OK` for none."""
        return max(
            (report.status for report in reports.values()), key=SEVERITY.__getitem__, default=HealthStatus.OK
        )


def _ask(name: str, probe: Probe) -> HealthReport:
    try:
        return probe()
    except Exception as error:  # noqa: BLE001 - one broken probe must not hide the others' answers
        log.warning("health probe failed", probe=name, error=repr(error))
        return HealthReport(HealthStatus.FAILED, f"the health probe raised {error!r}")
