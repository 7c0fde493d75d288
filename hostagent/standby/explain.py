"""Puts what is known of an instance into the words of the API. Pure but for the clock's conversion."""

from collections.abc import Sequence
from dataclasses import replace

from hostagent.activity.contract import Lease
from hostagent.standby.decision import Assessment, Facts, Status
from hostagent.standby.ladder import next_step
from hostagent.standby.status import AutoStandbyStatus, Explanation
from hostagent.standby.steady_clock import SteadyClock
from hostagent.standby.tracked import Tracked


def status_object(
    tracked: Tracked, facts: Facts, assessment: Assessment, clock: SteadyClock
) -> AutoStandbyStatus:
    """Return hypeman's status object."""
    view, policy, now = tracked.view, tracked.view.policy, clock.now()
    enabled = policy is not None and policy.enabled
    hold, due = facts.hold_until, assessment.next_look
    inbound = view.last_inbound_activity_at
    if tracked.last_inbound is not None:
        inbound = clock.to_wall(tracked.last_inbound)
    return AutoStandbyStatus(
        supported=facts.supported,
        configured=policy is not None,
        enabled=enabled,
        eligible=assessment.eligible,
        status=assessment.status,
        reason=assessment.reason,
        active_inbound_connections=facts.connections,
        idle_timeout=policy.idle_timeout if policy is not None and enabled else None,
        idle_since=None if facts.idle_since is None else clock.to_wall(facts.idle_since),
        last_inbound_activity_at=inbound,
        next_standby_at=None if due is None else clock.to_wall(due),
        hold_until=None if hold is None or hold <= now else clock.to_wall(hold),
        countdown_remaining=None if due is None else max(0.0, due - now),
    )


def explanation(
    tracked: Tracked, facts: Facts, assessment: Assessment, deeper_at: float | None, clock: SteadyClock
) -> Explanation:
    """Return the answer to why; `deeper_at` is when a sleeping instance goes to its next level."""
    steps = tracked.steps(clock.now())
    step = next_step(steps, tracked.view.level)
    at = deeper_at if tracked.asleep else assessment.next_look
    return Explanation(
        assessment=assessment,
        status=status_object(tracked, facts, assessment, clock),
        leases=_on_the_wall(facts.leases, clock),
        steps=steps,
        next_level=None if step is None else step.level,
        next_level_at=None if at is None else clock.to_wall(at),
        history=tuple(tracked.history),
    )


def phase(tracked: Tracked, assessment: Assessment) -> str:
    """Return the phase that the metrics count an instance in."""
    if tracked.flows is None or not assessment.eligible:
        return "ineligible"
    if assessment.status in (Status.READY_FOR_STANDBY, Status.STANDBY_REQUESTED):
        return "ready_for_standby"
    return "active" if tracked.idle_since is None else "idle_countdown"


def _on_the_wall(leases: Sequence[Lease], clock: SteadyClock) -> tuple[Lease, ...]:
    return tuple(replace(lease, until=clock.to_wall(lease.until)) for lease in leases)
