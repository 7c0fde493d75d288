"""What the gate tells about itself."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from plugins.scaletozero.commands import Command
from plugins.scaletozero.holds import Hold, HoldKind


class Gate(enum.StrEnum):
    """What the gate is doing, in one word (`gate=` in the log)."""

    HELD = "held"
    """Somebody is here and our `+` is in force, or on its way."""
    COOLDOWN = "cooldown"
    """Nobody is here; our `-` follows when the cooldown is over, or is on its way."""
    RELEASED = "released"
    """No contribution of ours is in force: nobody is here, or there is no control file."""
    FAILING = "failing"
    """A write that is needed failed or does not return; it is retried."""


@dataclass(frozen=True, slots=True)
class GateSnapshot:
    """Why the machine is awake or may sleep. Times are seconds."""

    at: float
    """When this was so, by the gate's clock; what `since` and `deadline` of a hold are compared with."""
    gate: Gate
    holds: tuple[Hold, ...]
    in_force: bool
    """Our `+` was written and not taken back."""
    in_flight: Command | None
    """The write under way."""
    in_flight_seconds: float
    absent: bool
    """At the last look there was no control file."""
    cooldown_left: float | None
    """None when no cooldown runs."""
    failures: int
    """Failed attempts in a row at the write that is needed now."""
    last_error: str
    """Why the last write failed; empty when it did not."""
    retry_in: float | None
    """To the next attempt; none when none is planned."""
    awake_seconds: Mapping[HoldKind, float]
    """How long there was at least one hold of that kind, since start."""
    drained: bool
    """Shut down: holds are ignored."""

    def count(self, kind: HoldKind) -> int:
        """Return how many holds of that kind there are."""
        return sum(hold.key.kind is kind for hold in self.holds)

    @property
    def pending(self) -> int:
        """The number of holding sessions."""
        return self.count(HoldKind.SESSION)
