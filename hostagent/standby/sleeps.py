"""From a countdown that is over to an instance asleep: look again, queue, look twice more."""

from collections.abc import Sequence

from hostagent.activity.classify import FlowRule
from hostagent.activity.evidence import Evidence, of_flow, of_gate, of_lease
from hostagent.activity.flow_set import FlowSet
from hostagent.activity.leases import LeaseTable
from hostagent.instances.model import AutoStandbyPolicy, InstanceId
from hostagent.standby.attempt import Outcome, attempt
from hostagent.standby.deadlines import Deadlines, Timer
from hostagent.standby.idleness import Idleness
from hostagent.standby.ladder import Step, next_step
from hostagent.standby.metrics import StandbyMetrics
from hostagent.standby.ports import InstancesPort
from hostagent.standby.roster import Roster
from hostagent.standby.sleep_queue import Request, SleepQueue
from hostagent.standby.steady_clock import SteadyClock
from hostagent.standby.survey import Failed, Survey
from hostagent.standby.tracked import Tracked


class Sleeps:
    """Puts instances to sleep, so many at a time, each once at a time."""

    def __init__(
        self,
        *,
        instances: InstancesPort,
        roster: Roster,
        survey: Survey,
        idleness: Idleness,
        deadlines: Deadlines,
        leases: LeaseTable,
        clock: SteadyClock,
        metrics: StandbyMetrics,
        failed: Failed,
        max_concurrent: int,
    ) -> None:
        self._instances = instances
        self._roster = roster
        self._survey = survey
        self._idleness = idleness
        self._deadlines = deadlines
        self._leases = leases
        self._clock = clock
        self._metrics = metrics
        self._failed = failed
        self._queue = SleepQueue(max_concurrent, self._run)
        self._open = True

    @property
    def in_flight(self) -> int:
        """How many are going to sleep at this moment."""
        return self._queue.in_flight

    async def close(self) -> None:
        """Give up those that wait, and wait for those under way."""
        self._open = False
        await self._queue.close()

    def confirm(self, due: Sequence[Tracked]) -> None:
        """Countdowns are over: look at everything once more, and only then decide. A failed read is use."""
        ready = []
        for tracked in due:
            view = self._instances.get(tracked.view.id)
            if view is None:
                self._idleness.drop(tracked.view.id)
            elif self._survey.adopt(view, "instance_event") is None:
                continue
            elif self._idleness.assess(tracked).may_sleep:
                ready.append(tracked)
            else:
                self._idleness.settle(tracked)
        read = self._survey.look(ready, "standby_confirm")
        for tracked in ready:
            if not read:
                tracked.use(self._clock.now())
                self._idleness.settle(tracked)
                continue
            steps = tracked.steps(self._clock.now())
            if steps and self._idleness.assess(tracked).may_sleep:
                self._submit(tracked, steps[0], deeper=False)

    def deeper_due(self, tracked: Tracked) -> None:
        """An instance that sleeps has slept long enough for the next level."""
        view = self._instances.get(tracked.view.id)
        if view is None:
            self._idleness.drop(tracked.view.id)
            return
        if self._survey.adopt(view, "instance_event") is not None:
            return
        now = self._clock.now()
        when = self._deadlines.when(Timer.DEEPER, view.id)
        step = next_step(tracked.steps(now), view.level)
        if when is not None and when <= now and step is not None:
            self._submit(tracked, step, deeper=True)

    def still_idle(self, instance: InstanceId) -> Evidence | None:
        """Look once more before a sleep is committed (see `ports.StillIdle`).

        For a sleep that the controller decided, what came in between counts too. One that somebody else asked
        for is judged by what is there now, under the policy or, without one, the default.
        """
        tracked = self._roster.get(instance)
        if tracked is None or tracked.executing is None or tracked.executing.deeper:
            return self._anybody(instance)
        if tracked.flows is None:
            return Evidence("changed", "the instance is not what it was when its sleep was decided")
        if tracked.disturbed is None:
            tracked.disturbed = self._claim(tracked) or self._flow(tracked, tracked.flows)
        return tracked.disturbed

    def still_unclaimed(self, instance: InstanceId) -> Evidence | None:
        """Look once more before a sleeping instance goes deeper; who sends packets wakes it by the trap."""
        tracked = self._roster.get(instance)
        if tracked is None or tracked.executing is None:
            return Evidence("changed", "the instance is not what it was when its sleep was decided")
        return self._claim(tracked)

    def _claim(self, tracked: Tracked) -> Evidence | None:
        """Return what besides connections speaks against a sleep that is under way."""
        view = self._instances.get(tracked.view.id)
        if view is None or view.policy != tracked.view.policy:
            return Evidence("changed", "its policy was changed, or it was deleted")
        count = self._idleness.gate(tracked)
        if count != 0:
            return of_gate(count)
        now = self._clock.now()
        leases = self._leases.held(view.id, now)
        return of_lease(leases[0], now) if leases else None

    def _anybody(self, instance: InstanceId) -> Evidence | None:
        view = self._instances.get(instance)
        if view is None:
            return Evidence("changed", "it was deleted")
        tracked = self._roster.put(view)
        if tracked.flows is None:
            flows = FlowSet(FlowRule.of(view.policy or AutoStandbyPolicy(), view.addresses))
            return self._claim(tracked) or self._flow(tracked, flows)
        found = self._claim(tracked) or self._flow(tracked, tracked.flows)
        self._idleness.settle(tracked)
        return found

    def _flow(self, tracked: Tracked, known: FlowSet) -> Evidence | None:
        """Return a connection that speaks against it."""
        now = self._clock.now()
        try:
            flows = self._survey.now(tracked)
        except Exception as error:  # noqa: BLE001 (whatever failed: what cannot be read counts as use)
            self._failed("standby_confirm", error)
            return Evidence("unreadable", f"the connections cannot be read: {error}")
        if not known.look(flows, now):
            return None
        tracked.use(now)
        tracked.inbound(now)
        return of_flow(known.examples(1)[0])

    def _submit(self, tracked: Tracked, step: Step, *, deeper: bool) -> None:
        if tracked.request is not None or tracked.executing is not None:
            return
        view = tracked.view
        reason = "asleep_long_enough" if deeper else "idle_timeout"
        tracked.request = Request(view.id, step.level, view.generation, reason, deeper)
        self._deadlines.set(Timer.DEEPER if deeper else Timer.SLEEP, view.id, None)
        self._idleness.remember(tracked, self._idleness.assess(tracked))
        self._queue.submit(tracked.request)

    async def _run(self, request: Request) -> None:
        """Carry a request out, where it still stands."""
        tracked = self._roster.get(request.instance)
        if tracked is None or tracked.request is not request or tracked.executing is not None:
            return
        tracked.executing, tracked.disturbed = request, None
        look = self.still_unclaimed if request.deeper else self.still_idle
        try:
            outcome = await attempt(self._instances, request, look, self._metrics)
        finally:
            tracked.executing = tracked.disturbed = tracked.request = None
        if self._roster.get(request.instance) is tracked:
            self._attempted(tracked, request, outcome)

    def _attempted(self, tracked: Tracked, request: Request, outcome: Outcome) -> None:
        """Go on after a sleep that worked, was given up or failed: where it is awake, a countdown begins
        anew.
        """
        now = self._clock.now()
        view = self._instances.get(request.instance)
        if view is None or outcome is Outcome.GONE:
            self._idleness.drop(request.instance)
            return
        if outcome is Outcome.ASLEEP:
            tracked.setbacks.pop(request.level, None)
        elif outcome is Outcome.FAILED or request.deeper:
            tracked.bar(request.level, now)
        if tracked.flows is not None:
            tracked.use(now)
        if self._open:
            self._survey.refresh(view, "instance_event")
        if tracked.flows is not None:
            tracked.use(now)
            self._idleness.settle(tracked)
