"""May this instance sleep, and why or why not: hypeman's status table row by row, and our rows. Pure.

All times are of one clock, the caller's. The table with every row is in this room's README.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hostagent.activity.contract import Flow, Lease
from hostagent.activity.evidence import Evidence, of_flow, of_gate, of_lease
from hostagent.activity.leases import HOLD
from hostagent.instances.model import AutoStandbyPolicy, State

MAX_FLOWS_SHOWN: Final = 8
"""Connections named as evidence."""


class Status(StrEnum):
    """Where an instance stands; hypeman's words, and `waking`, `aborted`, `gate_held`, `lease_held`."""

    UNSUPPORTED = "unsupported"
    DISABLED = "disabled"
    INELIGIBLE = "ineligible"
    WAKING = "waking"
    ABORTED = "aborted"
    STANDBY_REQUESTED = "standby_requested"
    ERROR = "error"
    ACTIVE = "active"
    GATE_HELD = "gate_held"
    IDLE_COUNTDOWN = "idle_countdown"
    LEASE_HELD = "lease_held"
    READY_FOR_STANDBY = "ready_for_standby"


class Reason(StrEnum):
    """Why it stands there."""

    UNSUPPORTED_PLATFORM = "unsupported_platform"
    POLICY_MISSING = "policy_missing"
    POLICY_DISABLED = "policy_disabled"
    WAKE_UNDER_WAY = "wake_under_way"
    INSTANCE_NOT_RUNNING = "instance_not_running"
    NETWORK_DISABLED = "network_disabled"
    MISSING_IP = "missing_ip"
    HAS_VGPU = "has_vgpu"
    NO_SLEEP_LEVEL = "no_sleep_level"
    ACTIVITY_DURING_STANDBY = "activity_during_standby"
    READY_FOR_STANDBY = "ready_for_standby"
    OBSERVER_ERROR = "observer_error"
    ACTIVE_INBOUND_CONNECTIONS = "active_inbound_connections"
    GATE_HELD = "gate_held"
    GATE_UNKNOWN = "gate_unknown"
    IDLE_TIMEOUT_NOT_ELAPSED = "idle_timeout_not_elapsed"
    LEASE_HELD = "lease_held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of an instance at one moment."""

    supported: bool = True
    """There is a controller at all."""
    state: State = State.RUNNING
    waking: bool = False
    network: bool = True
    has_address: bool = True
    has_vgpu: bool = False
    can_sleep: bool = True
    """The machine can do a level that the policy allows."""
    requested: bool = False
    """It is queued to sleep, or going to sleep."""
    disturbed: Evidence | None = None
    """Somebody came while it is going to sleep."""
    observer_error: str | None = None
    """The stream of connection events is down, and why."""
    connections: int = 0
    """How many connections are use."""
    flows: tuple[Flow, ...] = ()
    """Some of them, to show."""
    gate: int | None = 0
    """The instance's own counter, None when unknown."""
    leases: tuple[Lease, ...] = ()
    """Leases that are not over."""
    idle_since: float | None = None

    @property
    def hold_until(self) -> float | None:
        """When the hold ends, if there is one."""
        return next((lease.until for lease in self.leases if lease.owner == HOLD), None)


@dataclass(frozen=True, slots=True)
class Assessment:
    """The decision."""

    status: Status
    reason: Reason
    evidence: tuple[Evidence, ...]
    """What keeps it awake; empty when only time does."""
    eligible: bool
    """It can be tracked: everything but activity and time is in order."""
    may_sleep: bool
    """It may be put to sleep at this moment (also while the stream is down: the confirming look is the
    guard).
    """
    next_look: float | None
    """When time alone makes it ready; None when something has to happen first."""


def assess(facts: Facts, policy: AutoStandbyPolicy | None, now: float) -> Assessment:
    """Return where the instance stands; the first row that matches wins."""
    ineligible = _not_eligible(facts, policy)
    if ineligible is not None:
        status, reason = ineligible
        return Assessment(status, reason, (), eligible=False, may_sleep=False, next_look=None)
    assert policy is not None
    held = facts.connections > 0 or facts.gate != 0
    due = None if held else deadline(facts, policy)
    free = not facts.requested and facts.disturbed is None
    status, reason = _stand(facts, policy, now)
    return Assessment(
        status,
        reason,
        _evidence(facts, now),
        eligible=True,
        may_sleep=free and due is not None and due <= now,
        next_look=due,
    )


def is_eligible(facts: Facts, policy: AutoStandbyPolicy | None) -> bool:
    """Tell whether the instance can be tracked now."""
    return _not_eligible(facts, policy) is None


def deadline(facts: Facts, policy: AutoStandbyPolicy) -> float | None:
    """Return when the countdown and every lease are over; None when no countdown runs."""
    if facts.idle_since is None:
        return None
    return max([facts.idle_since + policy.idle_timeout, *(lease.until for lease in facts.leases)])


def _not_eligible(facts: Facts, policy: AutoStandbyPolicy | None) -> tuple[Status, Reason] | None:
    rows = (
        (not facts.supported, Status.UNSUPPORTED, Reason.UNSUPPORTED_PLATFORM),
        (policy is None, Status.DISABLED, Reason.POLICY_MISSING),
        (policy is not None and not policy.enabled, Status.DISABLED, Reason.POLICY_DISABLED),
        (facts.waking, Status.WAKING, Reason.WAKE_UNDER_WAY),
        (facts.state is not State.RUNNING, Status.INELIGIBLE, Reason.INSTANCE_NOT_RUNNING),
        (not facts.network, Status.INELIGIBLE, Reason.NETWORK_DISABLED),
        (not facts.has_address, Status.INELIGIBLE, Reason.MISSING_IP),
        (facts.has_vgpu, Status.INELIGIBLE, Reason.HAS_VGPU),
        (not facts.can_sleep, Status.INELIGIBLE, Reason.NO_SLEEP_LEVEL),
    )
    return next(((status, reason) for matches, status, reason in rows if matches), None)


def _stand(facts: Facts, policy: AutoStandbyPolicy, now: float) -> tuple[Status, Reason]:
    """Return the row of an eligible instance."""
    if facts.disturbed is not None:
        return Status.ABORTED, Reason.ACTIVITY_DURING_STANDBY
    if facts.requested:
        return Status.STANDBY_REQUESTED, Reason.READY_FOR_STANDBY
    if facts.observer_error is not None:
        return Status.ERROR, Reason.OBSERVER_ERROR
    if facts.connections > 0:
        return Status.ACTIVE, Reason.ACTIVE_INBOUND_CONNECTIONS
    if facts.gate != 0:
        return Status.GATE_HELD, Reason.GATE_UNKNOWN if facts.gate is None else Reason.GATE_HELD
    countdown = max(
        (facts.idle_since + policy.idle_timeout) if facts.idle_since is not None else now,
        facts.hold_until or now,
    )
    if countdown > now:
        return Status.IDLE_COUNTDOWN, Reason.IDLE_TIMEOUT_NOT_ELAPSED
    if any(lease.until > now for lease in facts.leases):
        return Status.LEASE_HELD, Reason.LEASE_HELD
    if facts.idle_since is not None:
        return Status.READY_FOR_STANDBY, Reason.READY_FOR_STANDBY
    return Status.IDLE_COUNTDOWN, Reason.IDLE_TIMEOUT_NOT_ELAPSED


def _evidence(facts: Facts, now: float) -> tuple[Evidence, ...]:
    found = [of_flow(flow) for flow in facts.flows]
    if facts.connections > len(facts.flows):
        found.append(Evidence("flow", f"and {facts.connections - len(facts.flows)} connections more"))
    if facts.gate != 0:
        found.append(of_gate(facts.gate))
    found += [of_lease(lease, now) for lease in facts.leases if lease.until > now]
    if facts.disturbed is not None:
        found.append(facts.disturbed)
    if facts.observer_error is not None:
        found.append(Evidence("unreadable", f"connection events are not told: {facts.observer_error}"))
    return tuple(found)
