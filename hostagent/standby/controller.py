"""Acts on the decision: connections, gates, leases, transitions and time come in; sleeps and stamps go out.

Everything runs on the loop and nothing here waits but a sleep under way, so there are no locks: an event
sees the state that the one before left. Nothing is done for an instance while nothing happens to it: all
deadlines are in one heap, and one timer of the loop waits for the earliest.
"""

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Final

from opentelemetry import trace

from hostagent.activity.contract import FlowEvent, FlowTable, GateReader, Lease
from hostagent.activity.flow_set import Change
from hostagent.activity.leases import HOLD, LeaseTable
from hostagent.clock import Clock
from hostagent.errors import HostError, InstanceInStandbyError, InvalidStateError
from hostagent.instances.model import InstanceId, State
from hostagent.logs import get_logger
from hostagent.settings import StandbySettings
from hostagent.standby.deadlines import Deadlines, Timer
from hostagent.standby.decision import Assessment
from hostagent.standby.explain import explanation, phase, status_object
from hostagent.standby.idleness import Idleness
from hostagent.standby.metrics import StandbyMetrics
from hostagent.standby.observer import Observer
from hostagent.standby.ports import InstancesPort, LifecycleEvent, StillIdle
from hostagent.standby.roster import Roster
from hostagent.standby.sleeps import Sleeps
from hostagent.standby.stamp_writer import StampWriter
from hostagent.standby.status import AutoStandbyStatus, Explanation
from hostagent.standby.steady_clock import SteadyClock
from hostagent.standby.survey import Survey
from hostagent.standby.tracked import Tracked

log = get_logger("standby")
tracer = trace.get_tracer("hostagent.standby")

GAP_PAUSE: Final = 1.0
"""Seconds between two complete reads because events were lost: a flood must not become a flood of reads."""


class StandbyController:
    """Decides for every instance of the host when it sleeps. To be used on one event loop only."""

    def __init__(
        self,
        instances: InstancesPort,
        flows: FlowTable | None,
        gates: GateReader | None,
        leases: LeaseTable,
        clock: Clock,
        settings: StandbySettings,
        metrics: StandbyMetrics,
    ) -> None:
        """Args:
        instances: the lifecycle.
        flows: the kernel's connection table; None where there is none: then nobody is put to sleep.
        gates: the instances' counters; None where there are none: then they are not asked.
        leases: the table; from now on the controller's: `ping`, `hold` and `release` are the way in.
        clock: both clocks.
        settings: durations and limits.
        metrics: counted in.
        """
        self._instances = instances
        self._gates = gates
        self._leases = leases
        self._settings = settings
        self._metrics = metrics
        self._clock = SteadyClock(clock)
        self._roster = Roster()
        self._deadlines = Deadlines(self._clock, self.tick)
        self._writer = StampWriter(instances.set_stamps, lambda error: self._failed("persist_runtime", error))
        self._observer = None if flows is None else self._observe(flows)
        self._idleness = Idleness(
            roster=self._roster,
            deadlines=self._deadlines,
            leases=leases,
            gates=gates,
            writer=self._writer,
            clock=self._clock,
            reconcile_delay=settings.reconcile_delay,
            observer=lambda: (False, None) if self._observer is None else (True, self._observer.error),
        )
        self._survey = Survey(instances, flows, self._roster, self._idleness, self._failed)
        self._sleeps = Sleeps(
            instances=instances,
            roster=self._roster,
            survey=self._survey,
            idleness=self._idleness,
            deadlines=self._deadlines,
            leases=leases,
            clock=self._clock,
            metrics=metrics,
            failed=self._failed,
            max_concurrent=settings.max_concurrent,
        )
        self._unsubscribe: Callable[[], None] | None = None
        self._running = False
        self._read_at = float("-inf")
        metrics.measure(self._count_phase, self._count_connections, lambda: self._sleeps.in_flight)

    async def start(self) -> None:
        """Open the stream of events, read everything, then follow. Nothing that fails here stops the
        agent.
        """
        self._running = True
        if self._gates is not None:
            self._gates.on_change(self._gate_changed)
        if self._observer is not None:
            await self._observer.start()
        began = perf_counter()
        with tracer.start_as_current_span("AutoStandbyStartupResync") as span:
            status = "success" if self._resync("startup_resync") else "error"
            span.set_attribute("status", status)
        self._metrics.resync_seconds.labels(status).observe(perf_counter() - began)
        self._subscribe()
        self._deadlines.set(Timer.SYNC, None, self._clock.now() + self._settings.sync_interval)

    async def stop(self) -> None:
        """Give up queued sleeps, wait for those under way, write the last stamps: countdowns go on at a
        new start.
        """
        self._running = False
        self._deadlines.close()
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._observer is not None:
            await self._observer.stop()
        await self._sleeps.close()
        await self._writer.close()

    def on_change(self, listener: Callable[[InstanceId, Assessment, float | None], None]) -> None:
        """Tell when an instance stands elsewhere in the status table, with the seconds until time alone makes
        it ready (None when something has to happen first).
        """

        def tell(tracked: Tracked, assessment: Assessment) -> None:
            due = assessment.next_look
            listener(tracked.view.id, assessment, None if due is None else max(0.0, due - self._clock.now()))

        self._idleness.on_change = tell

    def status(self, instance: InstanceId) -> AutoStandbyStatus:
        """Return hypeman's status object; raises NotFoundError."""
        tracked = self._survey.current(instance)
        return status_object(
            tracked, self._idleness.facts(tracked), self._idleness.assess(tracked), self._clock
        )

    def explain(self, instance: InstanceId) -> Explanation:
        """Return why it is awake or asleep, what comes next, and what was; raises NotFoundError."""
        tracked = self._survey.current(instance)
        deeper_at = self._deadlines.when(Timer.DEEPER, instance)
        facts, assessment = self._idleness.facts(tracked), self._idleness.assess(tracked)
        return explanation(tracked, facts, assessment, deeper_at, self._clock)

    def hold(self, instance: InstanceId) -> float | None:
        """Keep it awake for one idle timeout from now; the newest hold counts. A queued sleep is given up.

        Returns:
            The wall time until which it is safe to connect; None when nothing puts it to sleep anyway.

        Raises:
            NotFoundError: no such instance.
            InstanceInStandbyError: it sleeps or is going to.
        """
        tracked = self._survey.current(instance)
        self._refuse_asleep(tracked)
        policy = tracked.view.policy
        if policy is None or not self._survey.eligible(tracked):
            return None
        lease = self._leases.grant(
            instance, HOLD, "held by the API", policy.idle_timeout, self._clock.now(), replace=True
        )
        self._noticed(tracked)
        return self._clock.to_wall(lease.until)

    def ping(self, instance: InstanceId, owner: str, reason: str, seconds: float) -> Lease:
        """Promise that it does not go to sleep for so long (cut to the cap); a renewal never shortens.

        Returns:
            The lease, `until` as wall time.

        Raises:
            NotFoundError: no such instance.
            InstanceInStandbyError: it sleeps or is going to: wake it, then ask again.
            InvalidStateError: it does not run.
            BadRequestError, TooManyLeasesError: see LeaseTable.
        """
        tracked = self._survey.current(instance)
        self._refuse_asleep(tracked)
        if tracked.view.state is not State.RUNNING:
            raise InvalidStateError(
                f"instance {instance} is {tracked.view.state}, not Running; start it first"
            )
        lease = self._leases.grant(instance, owner, reason, seconds, self._clock.now())
        self._noticed(tracked)
        return replace(lease, until=self._clock.to_wall(lease.until))

    @property
    def still_idle(self) -> StillIdle:
        """The last look before a sleep, for those that the controller did not decide too."""
        return self._sleeps.still_idle

    def release(self, instance: InstanceId, owner: str) -> bool:
        """End a lease early: it was use until now. False when there was none (any more)."""
        now = self._clock.now()
        found = self._leases.release(instance, owner, now)
        tracked = self._roster.get(instance)
        if found and tracked is not None:
            if tracked.flows is not None:
                tracked.use(now)
            self._noticed(tracked)
        return found

    def tick(self) -> None:
        """Do what is due. Called by the one timer; calling it at any other time is harmless."""
        if not self._running:
            return
        due: dict[Timer, list[Tracked]] = {timer: [] for timer in Timer}
        for timer, instance in self._deadlines.due():
            if instance is None:
                self._whole(timer)
            elif (tracked := self._roster.get(instance)) is not None:
                due[timer].append(tracked)
        self._survey.look(due[Timer.LOOK], "reconcile")
        self._sleeps.confirm(due[Timer.SLEEP])
        for tracked in due[Timer.DEEPER]:
            self._sleeps.deeper_due(tracked)
        self._deadlines.wait()

    def _observe(self, flows: FlowTable) -> Observer:
        return Observer(
            flows,
            event=self._flow_event,
            gap=self._gap,
            resync=lambda: self._resync("reconnect"),
            failed=self._failed,
            reconnect_delay=self._settings.reconnect_delay,
        )

    def _flow_event(self, event: FlowEvent) -> None:
        tracked = self._roster.whose(event.flow)
        if tracked is None or tracked.flows is None:
            self._metrics.events.labels(event.kind, "unmatched").inc()
            return
        with tracer.start_as_current_span(
            "AutoStandbyHandleConntrackEvent", attributes={"instance": tracked.view.id, "event": event.kind}
        ) as span:
            now = self._clock.now()
            busy = tracked.flows.in_use > 0
            change = tracked.flows.saw(event, now)
            span.set_attribute("result", change.value)
            self._metrics.events.labels(event.kind, change.value).inc()
            if change is Change.IGNORED:
                return
            if change is not Change.EXPIRED:
                tracked.use(now)
                tracked.inbound(now)
            if not busy or not tracked.flows.in_use:
                self._idleness.settle(tracked)

    def _gate_changed(self, instance: InstanceId, _count: int | None) -> None:
        tracked = self._roster.get(instance)
        if self._running and tracked is not None:
            self._noticed(tracked)

    def _lifecycle_event(self, event: LifecycleEvent) -> None:
        if not self._running:
            return
        if event.view is None or event.action == "delete":
            self._idleness.drop(event.instance)
        else:
            self._survey.refresh(event.view, "instance_event")

    def _noticed(self, tracked: Tracked) -> None:
        """Something besides connections changed: its gate or its leases."""
        if tracked.flows is not None:
            self._idleness.settle(tracked)
        elif self._survey.eligible(tracked):
            self._survey.refresh(tracked.view, "instance_event")
        else:
            self._idleness.plan_deeper(tracked)

    def _resync(self, operation: str) -> bool:
        self._read_at = self._clock.now()
        return self._survey.resync(operation)

    def _gap(self) -> None:
        self._deadlines.set(Timer.RESYNC, None, max(self._clock.now(), self._read_at + GAP_PAUSE))

    def _whole(self, timer: Timer) -> None:
        """Do what is due for all instances."""
        if timer is Timer.SYNC:
            if self._unsubscribe is None:
                self._subscribe()
            self._deadlines.set(Timer.SYNC, None, self._clock.now() + self._settings.sync_interval)
        self._resync("snapshot_sync")

    def _subscribe(self) -> None:
        try:
            self._unsubscribe = self._instances.subscribe(self._lifecycle_event)
        except (HostError, OSError) as error:
            self._failed("instance_event", error)

    def _refuse_asleep(self, tracked: Tracked) -> None:
        if tracked.executing is not None or tracked.view.state is State.STANDBY:
            raise InstanceInStandbyError(
                f"instance {tracked.view.id} sleeps or is going to sleep; wake it, then ask again"
            )

    def _failed(self, operation: str, error: Exception | None) -> None:
        self._metrics.errors.labels(operation).inc()
        log.warning("auto-standby failed", operation=operation, error=str(error))

    def _count_phase(self, name: str) -> int:
        return sum(phase(tracked, self._idleness.assess(tracked)) == name for tracked in self._roster)

    def _count_connections(self) -> int:
        return sum(tracked.flows.in_use for tracked in self._roster if tracked.flows is not None)
