"""Why the machine is awake or may sleep, as data for programs and as a sentence for people: pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from plugins.scaletozero.gate_controller import WriteReport
from plugins.scaletozero.holds import PIN, Hold, HoldKind
from plugins.scaletozero.snapshot import Gate, GateSnapshot


class Sleep(enum.StrEnum):
    """Whether the machine may be suspended, as far as it is up to us."""

    AWAKE = "awake"
    MAY_SLEEP = "may_sleep"


class HoldEvidence(BaseModel):
    """One reason to stay awake."""

    kind: HoldKind
    id: str
    label: str
    """For people: a person's name, a request's path, who pinned, a lease's reason."""
    age_seconds: float
    seconds_left: float | None
    """To the end of a lease; null for what ends when somebody says so."""


class WriteEvidence(BaseModel):
    """The last write to the control file."""

    command: str
    """`+` or `-`."""
    result: str
    """`written`, `absent`, `refused` or `failed`."""
    seconds: float
    """How long it took."""
    at: datetime


class InFlight(BaseModel):
    """A write that has not returned yet."""

    command: str
    seconds: float
    """Since it began."""


class Trouble(BaseModel):
    """Why the write that is needed does not succeed."""

    message: str
    attempts: int
    """Failed ones in a row."""
    retry_in_seconds: float | None
    """Null while an attempt is under way."""


class ControlFileEvidence(BaseModel):
    """The file we write to."""

    path: str
    absent: bool
    """At the last attempt it was not there, so that the platform is not told anything."""


class Evidence(BaseModel):
    """Why the machine is awake or may sleep."""

    summary: str
    """All of it in one or two sentences."""
    wanted: Sleep
    """What the holds ask for."""
    actual: Sleep
    """What we have told the platform: `awake` while our `+` is in force."""
    gate: Gate
    pinned: bool
    pending: int
    """How many sessions hold."""
    holds: list[HoldEvidence]
    """The oldest first."""
    cooldown_left_seconds: float | None
    """To our `-`; null when no cooldown runs."""
    in_flight: InFlight | None
    last_write: WriteEvidence | None
    last_error: Trouble | None
    awake_seconds: dict[HoldKind, float]
    """For each kind, how long there was at least one such hold since the start."""
    control_file: ControlFileEvidence
    shutting_down: bool


def gather(now: GateSnapshot, last: WriteReport | None, control_file: Path) -> Evidence:
    """Put together what there is to say about the gate."""
    return Evidence(
        summary=summarise(now),
        wanted=Sleep.AWAKE if now.holds else Sleep.MAY_SLEEP,
        actual=Sleep.AWAKE if now.in_force else Sleep.MAY_SLEEP,
        gate=now.gate,
        pinned=any(hold.key == PIN for hold in now.holds),
        pending=now.pending,
        holds=[_hold(hold, now.at) for hold in sorted(now.holds, key=lambda hold: hold.since)],
        cooldown_left_seconds=_rounded(now.cooldown_left),
        in_flight=now.in_flight
        and InFlight(command=now.in_flight.value, seconds=round(now.in_flight_seconds, 3)),
        last_write=last
        and WriteEvidence(
            command=last.command.value,
            result=last.outcome.result.value,
            seconds=round(last.seconds, 6),
            at=datetime.fromtimestamp(last.ended_at, UTC),
        ),
        last_error=_trouble(now),
        awake_seconds={kind: round(total, 3) for kind, total in now.awake_seconds.items()},
        control_file=ControlFileEvidence(path=str(control_file), absent=now.absent),
        shutting_down=now.drained,
    )


def summarise(now: GateSnapshot) -> str:
    """Say why the machine is awake or may sleep, for people."""
    if now.drained:
        return "Shutting down: nothing holds the machine awake any more."
    if now.holds:
        reasons = f"Awake: {_listed(_reasons(now))}."
        if now.absent:
            return f"{reasons} But there is no control file, so the platform is not told."
        if now.gate is Gate.FAILING:
            return f"{reasons} But the control file does not take our '+', so it may sleep all the same."
        return reasons
    if now.gate is Gate.FAILING:
        return (
            "Nothing holds the machine awake, but the control file does not take our '-', so it stays awake."
        )
    if now.cooldown_left:
        return f"Nothing holds the machine awake; it may sleep in {now.cooldown_left:.1f} s."
    if now.gate is Gate.COOLDOWN:
        return "Nothing holds the machine awake; our '-' is being written."
    return "May sleep: nothing of ours holds the machine awake."


def _reasons(now: GateSnapshot) -> Iterator[str]:
    for kind, one, many in (
        (HoldKind.SESSION, "1 session is connected", "{} sessions are connected"),
        (HoldKind.REQUEST, "1 request is being answered", "{} requests are being answered"),
        (HoldKind.LEASE, "1 lease runs", "{} leases run"),
        (HoldKind.PIN, "it is pinned", ""),
    ):
        if count := now.count(kind):
            yield one if count == 1 else many.format(count)


def _listed(parts: Iterator[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def _hold(hold: Hold, now: float) -> HoldEvidence:
    return HoldEvidence(
        kind=hold.key.kind,
        id=hold.key.id,
        label=hold.label,
        age_seconds=round(now - hold.since, 3),
        seconds_left=_rounded(None if hold.deadline is None else max(0.0, hold.deadline - now)),
    )


def _trouble(now: GateSnapshot) -> Trouble | None:
    if now.gate is not Gate.FAILING and not now.last_error:
        return None
    message = now.last_error or "the control file does not answer"
    return Trouble(message=message, attempts=now.failures, retry_in_seconds=_rounded(now.retry_in))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
