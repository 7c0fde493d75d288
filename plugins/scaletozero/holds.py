"""What keeps the machine awake: holds, and the time they add up to."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class HoldKind(enum.StrEnum):
    """Why somebody wants the machine awake."""

    SESSION = "session"
    """A person is connected. Stays even if the control file cannot be written."""
    REQUEST = "request"
    """An HTTP request is being answered."""
    PIN = "pin"
    """Somebody said so, until they unsay it."""
    LEASE = "lease"
    """Somebody said so, for a number of seconds."""


@dataclass(frozen=True, slots=True)
class HoldKey:
    """What tells two holds apart."""

    kind: HoldKind
    id: str


PIN = HoldKey(HoldKind.PIN, "pin")
"""The one pin: a flag, not a count."""


@dataclass(frozen=True, slots=True, eq=False)
class Hold:
    """One reason to stay awake. Compared by identity: a renewed lease is another hold under the same key."""

    key: HoldKey
    label: str
    """For people: who or what it is."""
    since: float
    """When it was first taken; seconds of the gate's clock."""
    deadline: float | None = None
    """When it ends by itself; seconds of the gate's clock."""


class AwakeTime:
    """Adds up, for each kind, the seconds in which at least one hold of that kind was there."""

    def __init__(self) -> None:
        self._totals = dict.fromkeys(HoldKind, 0.0)
        self._counted_until: float | None = None

    def count(self, kinds: Iterable[HoldKind], now: float) -> None:
        """Add the time since the last call to each of `kinds`: those that were there all that time."""
        if self._counted_until is not None and now > self._counted_until:
            passed = now - self._counted_until
            for kind in set(kinds):
                self._totals[kind] += passed
        self._counted_until = now

    @property
    def totals(self) -> dict[HoldKind, float]:
        """Seconds by kind, up to the last `count`."""
        return dict(self._totals)
