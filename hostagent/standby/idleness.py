"""Since when each instance is idle, and what follows: countdown, looks, stamps, history."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import floor

from hostagent.activity.contract import Flow, GateReader
from hostagent.activity.evidence import Evidence
from hostagent.activity.leases import LeaseTable
from hostagent.instances.model import InstanceId
from hostagent.standby.deadlines import Deadlines, Timer
from hostagent.standby.decision import MAX_FLOWS_SHOWN, Assessment, Facts, assess
from hostagent.standby.ladder import next_step
from hostagent.standby.ports import IdleStamps
from hostagent.standby.roster import Roster
from hostagent.standby.stamp_writer import StampWriter
from hostagent.standby.status import Past
from hostagent.standby.steady_clock import SteadyClock
from hostagent.standby.tracked import Tracked


class Idleness:
    """The idle clocks of all instances."""

    def __init__(
        self,
        *,
        roster: Roster,
        deadlines: Deadlines,
        leases: LeaseTable,
        gates: GateReader | None,
        writer: StampWriter,
        clock: SteadyClock,
        reconcile_delay: float,
        observer: Callable[[], tuple[bool, str | None]],
    ) -> None:
        """Args:
        roster: the instances.
        deadlines: where their timers are.
        leases: who needs them.
        gates: their counters; None where there are none.
        writer: writes their stamps down.
        clock: the steady one.
        reconcile_delay: seconds until connections are read again where no event may tell.
        observer: whether connections are observed at all, and why events are not told at this moment.
        """
        self._roster = roster
        self._deadlines = deadlines
        self._leases = leases
        self._gates = gates
        self._writer = writer
        self._clock = clock
        self._reconcile_delay = reconcile_delay
        self._observer = observer
        self.on_change: Callable[[Tracked, Assessment], None] | None = None
        """Told when an instance stands at another row of the status table."""

    def gate(self, tracked: Tracked) -> int | None:
        """Return its own counter, None when unknown."""
        return 0 if self._gates is None else self._gates.count(tracked.view.id)

    def facts(self, tracked: Tracked) -> Facts:
        """Return all that is known of it now."""
        flows = tracked.flows
        supported, observer_error = self._observer()
        return replace(
            tracked.standing(),
            supported=supported,
            requested=tracked.request is not None,
            disturbed=tracked.disturbed,
            observer_error=observer_error,
            connections=0 if flows is None else flows.in_use,
            flows=() if flows is None else flows.examples(MAX_FLOWS_SHOWN),
            gate=self.gate(tracked),
            leases=self._leases.held(tracked.view.id, self._clock.now()),
            idle_since=tracked.idle_since,
        )

    def assess(self, tracked: Tracked) -> Assessment:
        """Return the decision as of now."""
        return assess(self.facts(tracked), tracked.view.policy, self._clock.now())

    def take(self, tracked: Tracked, flows: Sequence[Flow]) -> None:
        """Take what the kernel's table says of its connections; the first time, go on with an earlier
        countdown.
        """
        assert tracked.flows is not None
        in_use = tracked.flows.look(flows, self._clock.now())
        if tracked.flows.last_use is not None:
            tracked.use(tracked.flows.last_use)
            tracked.inbound(tracked.flows.last_use)
        if not tracked.seeded:
            self._seed(tracked, idle=not in_use)
        self.settle(tracked)

    def settle(self, tracked: Tracked) -> None:
        """Bring countdown, timers, queue and stamps in line with what is known; the one place that does."""
        assert tracked.flows is not None
        now = self._clock.now()
        count = self.gate(tracked)
        if count is not None:
            if count or tracked.gate:
                tracked.use(now)
            tracked.gate = count
        if tracked.flows.in_use or count:
            tracked.use(now)
            tracked.idle_since = None
        elif tracked.seeded:
            known = [moment for moment in (tracked.idle_since, tracked.last_use) if moment is not None]
            tracked.idle_since = max(known, default=now)
        assessment = self.assess(tracked)
        if self._give_up(tracked, assessment):
            assessment = self.assess(tracked)
        busy = tracked.request is not None or tracked.executing is not None
        self._deadlines.set(Timer.SLEEP, tracked.view.id, None if busy else assessment.next_look)
        self._plan_look(tracked)
        self._stamp(tracked)
        self.remember(tracked, assessment)

    def forget(self, tracked: Tracked) -> None:
        """It is not eligible (any more): forget its activity, and what was written of it."""
        keeps_inbound = tracked.asleep or tracked.view.waking
        view = tracked.view
        inbound = view.last_inbound_activity_at
        if tracked.last_inbound is not None:
            inbound = self._clock.to_wall(tracked.last_inbound)
        stale = tracked.stamped is not None or view.idle_since is not None
        if stale or (inbound is not None and not keeps_inbound):
            self._writer.put(view.id, IdleStamps(None, inbound if keeps_inbound else None))
        self._roster.unwatch(tracked)
        if not keeps_inbound:
            tracked.last_inbound = None
        self._deadlines.set(Timer.SLEEP, view.id, None)
        self._deadlines.set(Timer.LOOK, view.id, None)
        if tracked.request is not None and not tracked.request.deeper and tracked.executing is None:
            tracked.request = None
        self.remember(tracked, self.assess(tracked))
        self.plan_deeper(tracked)

    def drop(self, instance: InstanceId) -> None:
        """It is gone."""
        tracked = self._roster.drop(instance)
        if tracked is not None:
            tracked.request = None
        self._leases.drop(instance)
        self._writer.drop(instance)
        for timer in (Timer.SLEEP, Timer.LOOK, Timer.DEEPER):
            self._deadlines.set(timer, instance, None)

    def plan_deeper(self, tracked: Tracked) -> None:
        """Set the time of the next level of an instance that sleeps and that nobody claims."""
        now, view, step = self._clock.now(), tracked.view, None
        busy = tracked.request is not None or tracked.executing is not None
        if not tracked.asleep:
            tracked.asleep_since = None
        elif not busy:
            step = next_step(tracked.steps(now), view.level)
        if step is None or self.gate(tracked) != 0:
            self._deadlines.set(Timer.DEEPER, view.id, None)
            return
        if tracked.asleep_since is None:
            tracked.asleep_since = now
        asleep = tracked.asleep_since if view.since is None else self._clock.from_wall(view.since)
        leases = self._leases.held(view.id, now)
        when = max([asleep + step.after, *(lease.until for lease in leases)])
        self._deadlines.set(Timer.DEEPER, view.id, when)

    def remember(self, tracked: Tracked, assessment: Assessment) -> None:
        """Keep where it stands, when that is new."""
        last = tracked.history[-1] if tracked.history else None
        if last is None or (last.status, last.reason) != (assessment.status, assessment.reason):
            detail = assessment.evidence[0].detail if assessment.evidence else ""
            at = self._clock.to_wall(self._clock.now())
            tracked.history.append(Past(at, assessment.status, assessment.reason, detail))
            if self.on_change is not None:
                self.on_change(tracked, assessment)

    def _seed(self, tracked: Tracked, *, idle: bool) -> None:
        """Begin with what outlived the agent; a wake or start since then begins a countdown of its own."""
        view = tracked.view
        tracked.seeded = True
        if view.last_inbound_activity_at is not None:
            tracked.inbound(self._clock.from_wall(view.last_inbound_activity_at))
        if view.idle_since is None:
            return
        tracked.stamped = self._clock.from_wall(view.idle_since)
        if idle:
            since = view.idle_since if view.since is None else max(view.idle_since, view.since)
            tracked.idle_since = self._clock.from_wall(since)

    def _give_up(self, tracked: Tracked, assessment: Assessment) -> bool:
        """Take back a sleep that is no longer due; True when that changed anything."""
        if assessment.next_look is not None and assessment.next_look <= self._clock.now():
            return False
        if tracked.executing is not None:
            if tracked.executing.deeper or tracked.disturbed is not None:
                return False
            came = assessment.evidence[0].detail if assessment.evidence else "somebody came and went"
            tracked.disturbed = Evidence("disturbed", came)
            return True
        given_up = tracked.request is not None
        tracked.request = None
        return given_up

    def _plan_look(self, tracked: Tracked) -> None:
        """Have its connections read again where something may change without an event.

        The delay is such that use seen a delay late, and its end another, still make a sleep within
        `idle_timeout` + `reconcile_delay`. Looks of all instances fall on the same grid, to share one read.
        """
        flows, policy, instance = tracked.flows, tracked.view.policy, tracked.view.id
        assert flows is not None
        assert policy is not None
        if tracked.seeded and not flows.in_use and not flows.silent:
            self._deadlines.set(Timer.LOOK, instance, None)
        elif self._deadlines.when(Timer.LOOK, instance) is None:
            longest = self._reconcile_delay
            grid = longest / 2
            delay = min(longest, (policy.idle_timeout + longest) / 2)
            when = floor((self._clock.now() + delay) / grid) * grid
            self._deadlines.set(Timer.LOOK, instance, when)

    def _stamp(self, tracked: Tracked) -> None:
        """Write down idleness where it begins and ends; use that goes on is not written each time."""
        if not tracked.seeded or tracked.idle_since == tracked.stamped:
            return
        tracked.stamped = tracked.idle_since
        stamps = IdleStamps(
            None if tracked.idle_since is None else self._clock.to_wall(tracked.idle_since),
            None if tracked.last_inbound is None else self._clock.to_wall(tracked.last_inbound),
        )
        self._writer.put(tracked.view.id, stamps)
