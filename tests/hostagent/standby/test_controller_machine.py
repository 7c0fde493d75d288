"""Whatever comes in whatever order, three things hold.

- Nobody sleeps while somebody is there before the last release (`World.check_release`).
- Who is really idle and may sleep is asleep within `idle_timeout` + 2 s.
- No instance goes to sleep twice at once (`Instances.standby`).

The second is checked against what really happened, which the test keeps for itself: when use of each instance
ended, and until when something else (a failed read, a failed freeze, an agent that went) excuses a delay.
"""

import errno
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hostagent.activity.classify import FlowRule, flow_key, is_open
from hostagent.activity.contract import Flow
from hostagent.errors import InstanceInStandbyError, InvalidStateError
from hostagent.instances.model import AutoStandbyPolicy, InstanceId, Level, State
from hostagent.standby.deadlines import Timer
from tests.hostagent.activity.flows import tcp, udp
from tests.hostagent.standby.world import A, B, FreezerError, World, with_policy

SLACK = 2.0
"""Seconds after the idle timeout within which an idle instance is asleep."""

STEPS = 5
"""Waits of one sleep in the simulated lifecycle."""

instances = st.sampled_from([A, B])
ports = st.integers(1, 3)
policies = st.builds(
    with_policy,
    idle_timeout=st.sampled_from([1.0, 5.0, 20.0]),
    open_connections=st.sampled_from(["hold", "hold", "sleep_when_silent"]),
    ignore_destination_ports=st.sampled_from([(), (), (8080,)]),
    reclaim_after=st.sampled_from([None, None, 7.0]),
    stop_after=st.sampled_from([None, None, 30.0]),
)


class Schedules(RuleBasedStateMachine):
    """Two instances, connections, gates, leases, time, and everything that can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(max_concurrent=1)
        self.world.instances.step_seconds = 0.02
        self.used: dict[InstanceId, float] = {}
        self.excuse = self.now
        self.wall_moved = False
        self.gap = False

    @property
    def now(self) -> float:
        """The loop's time."""
        return self.world.loop.time()

    @initialize(policy_a=policies, policy_b=policies)
    def begin(self, policy_a: AutoStandbyPolicy, policy_b: AutoStandbyPolicy) -> None:
        self.world.add(A, policy=policy_a)
        self.world.add(B, policy=policy_b)
        self.used = dict.fromkeys((A, B), self.now)
        self.world.start()

    def teardown(self) -> None:
        self.world.instances.freeze_fails = self.world.table.broken = None
        self.world.close()

    # --- people -------------------------------------------------------------------------------------------

    @rule(instance=instances, port=ports, told=st.booleans())
    def connect(self, instance: InstanceId, port: int, told: bool) -> None:
        self.packets(instance, told, lambda: self.world.open(self.flow(instance, port)))

    @rule(instance=instances, port=ports, told=st.booleans())
    def disconnect(self, instance: InstanceId, port: int, told: bool) -> None:
        if flow_key(self.flow(instance, port)) in self.world.table.entries:
            self.packets(instance, told, lambda: self.world.end(self.flow(instance, port)))

    @rule(instance=instances, port=ports, told=st.booleans())
    def cut(self, instance: InstanceId, port: int, told: bool) -> None:
        if flow_key(self.flow(instance, port)) in self.world.table.entries:
            self.packets(instance, told, lambda: self.world.cut(self.flow(instance, port)))

    @rule(instance=instances, port=ports)
    def data_on_a_connection(self, instance: InstanceId, port: int) -> None:
        if self.is_open(self.flow(instance, port)):
            self.packets(instance, True, lambda: self.world.packet(self.flow(instance, port)))

    @rule(instance=instances, port=ports, told=st.booleans())
    def datagram(self, instance: InstanceId, port: int, told: bool) -> None:
        flow = self.datagrams(instance, port)
        if self.is_open(flow):
            self.packets(instance, True, lambda: self.world.packet(flow))
        else:
            self.packets(instance, told, lambda: self.world.open(flow))

    @rule(instance=instances, port=ports)
    def the_kernel_forgets(self, instance: InstanceId, port: int) -> None:
        """A silent UDP flow, or a TCP connection in TIME_WAIT."""
        for flow in (self.datagrams(instance, port), self.flow(instance, port)):
            known = self.world.table.entries.get(flow_key(flow))
            silent_for = self.now - self.used[instance]
            if known is not None and (not is_open(known) or (flow.protocol == "udp" and silent_for > 10)):
                self.world.table.remove(flow)
                self.world.loop.settle()

    @rule(instance=instances, count=st.integers(0, 2), told=st.booleans())
    def write_gate(self, instance: InstanceId, count: int, told: bool) -> None:
        if count and self.world.asleep(instance):
            return  # nobody runs who could
        if self.world.gates.counts.get(instance, 0) or count:
            self.used[instance] = self.now
        if told:
            self.world.gates.write(instance, count)
        elif count:
            self.world.gates.counts[instance] = count  # it is told with the next change
        self.world.loop.settle()

    @rule(instance=instances, seconds=st.sampled_from([0.5, 3.0, 15.0]))
    def ping(self, instance: InstanceId, seconds: float) -> None:
        try:
            self.world.ping(seconds, instance)
        except (InstanceInStandbyError, InvalidStateError):
            assert not self.is_awake(instance)

    @rule(instance=instances)
    def hold(self, instance: InstanceId) -> None:
        try:
            until = self.world.controller.hold(instance)
        except InstanceInStandbyError:
            assert not self.is_awake(instance)
        else:
            if until is not None:
                self.excuse_until(until - self.world.clocks.offset - self.timeout(instance))

    @rule(instance=instances)
    def release(self, instance: InstanceId) -> None:
        if self.world.controller.release(instance, "ping"):
            self.used[instance] = self.now
            self.world.promises[instance] = self.now
        self.world.loop.settle()

    # --- operators ----------------------------------------------------------------------------------------

    @rule(instance=instances, policy=st.none() | st.just(AutoStandbyPolicy()) | policies)
    def change_policy(self, instance: InstanceId, policy: AutoStandbyPolicy | None) -> None:
        self.world.instances.change("update", instance, policy=policy)
        self.used[instance] = self.now
        self.world.loop.settle()

    @rule(instance=instances)
    def wake(self, instance: InstanceId) -> None:
        if self.world.asleep(instance):
            self.used[instance] = self.now
        self.world.wake(instance)

    @rule(instance=instances)
    def stop_instance(self, instance: InstanceId) -> None:
        if self.is_awake(instance):
            self.world.instances.change("stop", instance, state=State.STOPPED, level=Level.STOPPED)
            self.world.loop.settle()

    @rule(instance=instances)
    def start_instance(self, instance: InstanceId) -> None:
        view = self.world.view(instance)
        if view.state is State.STOPPED:
            self.used[instance] = self.now
            self.world.instances.change(
                "start",
                instance,
                state=State.RUNNING,
                level=Level.AWAKE,
                generation=view.generation + 1,
                since=self.world.clocks.now(),
            )
            self.world.loop.settle()

    @rule(instance=instances)
    def tell_for_no_reason(self, instance: InstanceId) -> None:
        self.world.instances.tell("update", instance)
        self.world.loop.settle()

    @rule()
    def restart_the_agent(self) -> None:
        self.world.restart()
        if self.world.table.entries or self.world.instances.disk_full is not None or self.wall_moved:
            self.excused()

    # --- time ---------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.005, 0.03, 0.3, 1.0, 1.99, 4.98, 7.0, 19.97, 60.0]))
    def time_passes(self, seconds: float) -> None:
        if self.gap and seconds > 0.1:
            self.world.table.lose(None)
            self.gap = False
        if seconds > 2.0:
            self.all_is_well_again()
        self.world.after(seconds)

    def all_is_well_again(self) -> None:
        """Failures last a while, not for ever: else nobody would ever have to be asleep."""
        self.asleep_in_time()
        self.world.table.broken = self.world.table.unreachable = self.world.instances.freeze_fails = None
        if self.world.gates.away:
            self.world.gates.leave(False, [A, B])
        self.world.loop.settle()

    @rule(beyond=st.sampled_from([-0.01, 0.0, 0.01, 0.03, 0.05, 0.07, 0.09]))
    def time_passes_to_a_step_of_the_next_deadline(self, beyond: float) -> None:
        """Where it matters: right before something is due, and between the steps of a sleep."""
        due = self.world.controller._deadlines._heap.next()
        if due is not None:
            self.world.after(max(0.0, due - self.world.controller._clock.now() + beyond))

    @rule(
        instance=instances,
        beyond=st.sampled_from([0.005, 0.03, 0.05, 0.07]),
        port=ports,
        told=st.booleans(),
        ends=st.booleans(),
    )
    def somebody_comes_while_it_goes_down(
        self, instance: InstanceId, beyond: float, port: int, told: bool, ends: bool
    ) -> None:
        self.time_passes_to_a_step_of_the_next_deadline(beyond)
        self.connect(instance, port, told)
        if ends:
            self.cut(instance, port, told)

    @rule(seconds=st.sampled_from([0.5, 5.0, 30.0]))
    def the_machine_stalls(self, seconds: float) -> None:
        """Timers ring late, and what happened meanwhile comes in one go."""
        self.world.loop.stall(seconds)
        self.excused()

    @rule(instance=instances, kind=st.sampled_from(Timer), times=st.integers(1, 3))
    def a_stale_timer(self, instance: InstanceId, kind: Timer, times: int) -> None:
        everybody = kind in (Timer.SYNC, Timer.RESYNC)
        deadlines = self.world.controller._deadlines
        for _ in range(times):
            deadlines.set(kind, None if everybody else instance, self.world.controller._clock.now() - 5)
            self.world.controller.tick()
        if self.world.table.broken is not None:
            self.excused()
        self.world.loop.settle()

    @rule(seconds=st.sampled_from([-86_400.0, -4.0, 4.0, 86_400.0]))
    def the_wall_clock_is_set(self, seconds: float) -> None:
        self.world.clocks.offset += seconds
        self.wall_moved = True

    # --- failures -----------------------------------------------------------------------------------------

    @rule(broken=st.booleans())
    def reading_fails(self, broken: bool) -> None:
        self.world.table.broken = OSError(errno.EIO, "no table") if broken else None
        self.excused()

    @rule(fails=st.booleans())
    def freezing_fails(self, fails: bool) -> None:
        self.world.instances.freeze_fails = FreezerError("cannot freeze") if fails else None
        self.excused()

    @rule(full=st.booleans())
    def the_disk_is_full(self, full: bool) -> None:
        self.world.instances.disk_full = OSError(errno.ENOSPC, "no space") if full else None

    @rule(away=st.booleans())
    def the_gates_go(self, away: bool) -> None:
        self.world.gates.leave(away, [A, B])
        self.excused()
        self.world.loop.settle()

    @rule(again=st.booleans())
    def the_stream_breaks(self, again: bool) -> None:
        self.world.table.unreachable = None if again else OSError(errno.EPERM, "not now")
        self.world.table.lose(OSError(errno.EIO, "broke"))
        self.world.loop.settle()
        self.excused()

    # --- what holds ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.used)
    @invariant()
    def asleep_in_time(self) -> None:
        world = self.world
        failing = (
            world.table.broken is not None
            or world.instances.freeze_fails is not None
            or world.gates.away
            or world.table.unreachable is not None
        )
        if failing:
            self.excused()
            return
        sleeping = 2 * STEPS * world.instances.step_seconds
        for instance in (A, B):
            if not self.is_awake(instance) or self.in_use(instance):
                continue
            idle = max(self.used[instance], self.excuse) + self.timeout(instance)
            limit = max(idle, world.promises.get(instance, 0.0)) + SLACK + sleeping
            assert self.now <= limit, (
                f"{instance} is idle since {self.used[instance]} (excused until {self.excuse}), "
                f"and awake at {self.now}: "
                f"{world.controller.explain(instance)}"
            )

    # --- the truth ----------------------------------------------------------------------------------------

    def flow(self, instance: InstanceId, port: int) -> Flow:
        return tcp(port, destination=str(self.world.view(instance).addresses[0]))

    def datagrams(self, instance: InstanceId, port: int) -> Flow:
        return udp(port, destination=str(self.world.view(instance).addresses[1]))

    def is_open(self, flow: Flow) -> bool:
        known = self.world.table.entries.get(flow_key(flow))
        return known is not None and is_open(known)

    def is_awake(self, instance: InstanceId) -> bool:
        view = self.world.view(instance)
        going_down = self.world.instances.machines[instance].going_down
        return view.state is State.RUNNING and not going_down

    def timeout(self, instance: InstanceId) -> float:
        policy = self.world.view(instance).policy
        return policy.idle_timeout if policy is not None and policy.enabled else float("inf")

    def in_use(self, instance: InstanceId) -> bool:
        policy = self.world.view(instance).policy
        if policy is None or not policy.enabled or self.world.gates.counts.get(instance, 0):
            return True
        counted = FlowRule.of(policy, self.world.view(instance).addresses)
        return any(counted.counts(flow) and counted.holds(flow) for flow in self.world.open_flows(instance))

    def packets(self, instance: InstanceId, told: bool, send: Callable[[], None]) -> None:
        """Somebody sends: use until now. What is not told to the agent is told as a gap, a little later."""
        self.used[instance] = self.now
        self.world.table.deaf = not told
        send()
        self.world.table.deaf = False
        self.gap |= not told

    def excused(self) -> None:
        self.excuse_until(self.now)

    def excuse_until(self, moment: float) -> None:
        self.excuse = max(self.excuse, moment)


COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck))


def test_schedules() -> None:
    run_state_machine_as_test(Schedules, settings=settings(COMMON, max_examples=60, stateful_step_count=40))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_long_schedules() -> None:
    run_state_machine_as_test(
        Schedules, settings=settings(COMMON, max_examples=3000, stateful_step_count=100)
    )
