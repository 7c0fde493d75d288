"""A simulated host around the real controller: kernel, gates, lifecycle and clocks, each of which can fail.

The lifecycle here follows the order of the design (trap, look, freeze, look, release) with time between the
steps, and checks at each release what nobody in the agent can know: whether somebody was there.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace

from prometheus_client import CollectorRegistry

from hostagent.activity.classify import FlowKey, FlowRule, flow_key, is_open
from hostagent.activity.contract import Address, Flow, FlowEvent
from hostagent.activity.leases import LeaseTable
from hostagent.errors import HostError, InstanceInStandbyError, InvalidStateError, NotFoundError, SleepAborted
from hostagent.instances.model import AutoStandbyPolicy, InstanceId, Level, State
from hostagent.settings import StandbySettings
from hostagent.standby.controller import StandbyController
from hostagent.standby.decision import Status
from hostagent.standby.metrics import StandbyMetrics
from hostagent.standby.ports import IdleStamps, InstanceView, LifecycleAction, LifecycleEvent, StillIdle
from tests.hostagent.activity.flows import ADDRESSES, CLOSE, TIME_WAIT
from tests.hostagent.standby.virtual_loop import VirtualLoop

A, B, C, D = (InstanceId(letter * 24) for letter in "abcd")
TIMEOUT = 10.0
"""Seconds of the usual policy's idle timeout."""

ATTEMPTS = "hypeman_auto_standby_standby_attempts_total"
ERRORS = "hypeman_auto_standby_controller_errors_total"
LEVELS = frozenset({Level.AWAKE, Level.FROZEN, Level.RECLAIMED, Level.STOPPED})


def with_policy(**fields: object) -> AutoStandbyPolicy:
    """Return the usual policy with other fields."""
    return replace(AutoStandbyPolicy(enabled=True, idle_timeout=TIMEOUT), **fields)  # type: ignore[arg-type]


class Clocks:
    """Wall and monotonic time; the wall can be set."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.offset = 1_700_000_000.0

    def now(self) -> float:
        return self._loop.time() + self.offset

    def monotonic(self) -> float:
        return self._loop.time()


class Table:
    """The kernel's connections."""

    def __init__(self) -> None:
        self.entries: dict[FlowKey, Flow] = {}
        self.broken: Exception | None = None
        self.unreachable: Exception | None = None
        self.deaf = False
        self.dumps = 0
        self.starts = 0
        self._event: Callable[[FlowEvent], None] | None = None
        self._lost: Callable[[Exception | None], None] | None = None

    async def start(
        self, on_event: Callable[[FlowEvent], None], on_lost: Callable[[Exception | None], None]
    ) -> None:
        self.starts += 1
        if self.unreachable is not None:
            raise self.unreachable
        self._event, self._lost = on_event, on_lost

    async def stop(self) -> None:
        self._event = self._lost = None

    def flows(self, instance: tuple[Address, ...] | None = None) -> list[Flow]:
        self.dumps += 1
        if self.broken is not None:
            raise self.broken
        return [flow for flow in self.entries.values() if instance is None or flow.instance in instance]

    def put(self, flow: Flow) -> None:
        self.entries[flow_key(flow)] = flow
        self.tell("new", flow)

    def remove(self, flow: Flow) -> None:
        gone = self.entries.pop(flow_key(flow), None)
        if gone is not None:
            self.tell("destroy", gone)

    def tell(self, kind: str, flow: Flow) -> None:
        if self._event is not None and not self.deaf:
            self._event(FlowEvent("new" if kind == "new" else "destroy", flow))

    def lose(self, error: Exception | None) -> None:
        if self._lost is not None:
            lost = self._lost
            if error is not None:
                self._event = self._lost = None
            lost(error)


class Gates:
    """The instances' counters; None while the process that keeps them is away."""

    def __init__(self) -> None:
        self.counts: dict[InstanceId, int] = {}
        self.away = False
        self._callback: Callable[[InstanceId, int | None], None] = lambda _instance, _count: None

    def count(self, instance: InstanceId) -> int | None:
        return None if self.away else self.counts.get(instance, 0)

    def on_change(self, callback: Callable[[InstanceId, int | None], None]) -> None:
        self._callback = callback

    def write(self, instance: InstanceId, count: int) -> None:
        self.counts[instance] = count
        if not self.away:
            self._callback(instance, count)

    def leave(self, away: bool, instances: list[InstanceId]) -> None:
        self.away = away
        for instance in instances:
            self._callback(instance, self.count(instance))


@dataclass
class Machine:
    """What really is of one instance."""

    view: InstanceView
    trapped: bool = False
    came: bool = False
    going_down: bool = False


class Instances:
    """The lifecycle."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.machines: dict[InstanceId, Machine] = {}
        self.listeners: list[Callable[[LifecycleEvent], None]] = []
        self.stamps: dict[InstanceId, IdleStamps] = {}
        self.writes: list[dict[InstanceId, IdleStamps]] = []
        self.calls: list[tuple[InstanceId, Level]] = []
        self.freeze_fails: Exception | None = None
        self.disk_full: Exception | None = None
        self.no_subscription: Exception | None = None
        self.step_seconds = 0.0
        self.write_seconds = 0.0
        self.at_once = 0
        self.most_at_once = 0
        self.steps: dict[str, Callable[[InstanceId], None]] = {}

    def list(self) -> list[InstanceView]:
        return [machine.view for machine in self.machines.values()]

    def get(self, instance: InstanceId) -> InstanceView | None:
        machine = self.machines.get(instance)
        return machine.view if machine else None

    def subscribe(self, listener: Callable[[LifecycleEvent], None]) -> Callable[[], None]:
        if self.no_subscription is not None:
            raise self.no_subscription
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def change(self, action: LifecycleAction, instance: InstanceId, **fields: object) -> None:
        machine = self.machines[instance]
        machine.view = replace(machine.view, **fields)  # type: ignore[arg-type]
        self.tell(action, instance)

    def tell(self, action: LifecycleAction, instance: InstanceId) -> None:
        for listener in tuple(self.listeners):
            listener(LifecycleEvent(action, instance, self.get(instance)))

    async def set_stamps(self, stamps: Mapping[InstanceId, IdleStamps]) -> None:
        await asyncio.sleep(self.write_seconds)
        if self.disk_full is not None:
            raise self.disk_full
        self.writes.append(dict(stamps))
        for instance, stamp in stamps.items():
            if (machine := self.machines.get(instance)) is not None:
                machine.view = replace(
                    machine.view,
                    idle_since=stamp.idle_since,
                    last_inbound_activity_at=stamp.last_inbound_activity_at,
                )

    async def standby(
        self, instance: InstanceId, level: Level, *, generation: int, reason: str, still_idle: StillIdle
    ) -> None:
        assert reason
        self.calls.append((instance, level))
        machine = self.machines.get(instance)
        if machine is None:
            raise NotFoundError(f"no {instance}")
        self._world.expect(not machine.going_down, "two sleeps at once")
        self._refuse(machine, level, generation)
        machine.going_down, machine.came = True, False
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        before = machine.view.level
        try:
            await self._descend(machine, level, still_idle)
        except BaseException:
            machine.going_down = False
            machine.trapped = before is not Level.AWAKE
            if machine.came and before is not Level.AWAKE:
                self._world.wake(instance)
            raise
        finally:
            machine.going_down = False
            self.at_once -= 1

    def _refuse(self, machine: Machine, level: Level, generation: int) -> None:
        if machine.view.generation != generation:
            raise SleepAborted("another generation")
        if machine.view.state not in (State.RUNNING, State.STANDBY):
            raise InvalidStateError(f"{machine.view.state}")
        if machine.view.level.depth >= level.depth:
            raise InstanceInStandbyError(f"{machine.view.level} already")

    async def _descend(self, machine: Machine, level: Level, still_idle: StillIdle) -> None:
        await self._step("locked", machine)
        machine.trapped = True
        await self._step("trapped", machine)
        self._look(machine, still_idle)
        await self._step("checked", machine)
        if self.freeze_fails is not None:
            raise self.freeze_fails
        await self._step("frozen", machine)
        self._look(machine, still_idle)
        await self._step("rechecked", machine)
        self._world.check_release(machine)
        view = machine.view
        machine.view = replace(
            view,
            level=level,
            state=State.STANDBY,
            generation=view.generation + 1,
            since=self._world.clocks.now() if view.level is Level.AWAKE else view.since,
        )
        self.tell("standby", view.id)

    async def _step(self, name: str, machine: Machine) -> None:
        if (hook := self.steps.get(name)) is not None:
            hook(machine.view.id)
        await asyncio.sleep(self.step_seconds)
        if machine.came:
            raise SleepAborted(f"somebody came before {name}")
        if machine.view.id not in self.machines:
            raise NotFoundError("deleted")
        if machine.view.state is State.STOPPED:
            raise SleepAborted("stopped by the operator")

    @staticmethod
    def _look(machine: Machine, still_idle: StillIdle) -> None:
        evidence = still_idle(machine.view.id)
        if evidence is not None:
            raise SleepAborted(evidence.detail)


class World:
    """One host. Time passes by `after`."""

    def __init__(self, *, max_concurrent: int = 16, table: bool = True) -> None:
        self.loop = VirtualLoop()
        self.clocks = Clocks(self.loop)
        self.table = Table()
        self.gates = Gates()
        self.instances = Instances(self)
        self._has_table = table
        self.settings = StandbySettings(max_concurrent=max_concurrent)
        self.leases = LeaseTable(cap=3600)
        self.promises: dict[InstanceId, float] = {}
        self.registry = CollectorRegistry()
        self.controller = self._new_controller()

    def add(self, instance: InstanceId = A, **fields: object) -> None:
        """Add an instance that runs."""
        number = len(self.instances.machines)
        addresses = tuple(address + number for address in ADDRESSES)
        view = InstanceView(
            id=instance,
            state=State.RUNNING,
            level=Level.AWAKE,
            generation=1,
            policy=with_policy(),
            addresses=addresses,
            levels=LEVELS,
        )
        self.instances.machines[instance] = Machine(replace(view, **fields))  # type: ignore[arg-type]
        self.instances.tell("create", instance)
        self.loop.settle()

    def start(self) -> None:
        self.loop.run_until_complete(self.controller.start())
        self.loop.settle()

    def stop(self) -> None:
        self._finish(self.controller.stop())

    def restart(self) -> None:
        """Stop the agent and start another one: what it knew is what was written."""
        self.stop()
        self.leases = LeaseTable(cap=3600)
        self.promises.clear()
        self.registry = CollectorRegistry()
        self.controller = self._new_controller()
        self.start()

    def close(self) -> None:
        self.stop()
        self.loop.close()

    def after(self, seconds: float) -> None:
        self.loop.advance(seconds)

    def view(self, instance: InstanceId = A) -> InstanceView:
        return self.instances.machines[instance].view

    def asleep(self, instance: InstanceId = A) -> bool:
        return self.view(instance).state is State.STANDBY

    def status(self, instance: InstanceId = A) -> Status:
        return self.controller.status(instance).status

    def sample(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def open(self, flow: Flow, *, settle: bool = True) -> None:
        """Somebody opens a connection, or a packet changes its state."""
        self._packet(flow)
        self.table.put(flow)
        if settle:
            self.loop.settle()

    def packet(self, flow: Flow) -> None:
        """A packet on a connection that is open: the kernel tells nobody."""
        known = self.table.entries[flow_key(flow)]
        self._packet(known)
        self.table.entries[flow_key(flow)] = replace(known, packets=(known.packets or 0) + 1)
        self.loop.settle()

    def end(self, flow: Flow) -> None:
        """A connection ends in the usual way: TIME_WAIT, and long after that the kernel forgets it."""
        self.open(replace(flow, tcp_state=TIME_WAIT))

    def cut(self, flow: Flow) -> None:
        """A connection ends at once."""
        if flow.protocol == "tcp" and flow_key(flow) in self.table.entries:
            self.open(replace(flow, tcp_state=CLOSE))
        self.table.remove(flow)
        self.loop.settle()

    def wake(self, instance: InstanceId = A) -> None:
        """Wake it, as the trap or the API does."""
        machine = self.instances.machines[instance]
        if machine.view.state is not State.STANDBY or machine.going_down:
            return
        self.instances.change("restore", instance, waking=True)
        machine.trapped = machine.came = False
        self.instances.change(
            "restore",
            instance,
            waking=False,
            state=State.RUNNING,
            level=Level.AWAKE,
            generation=machine.view.generation + 1,
            since=self.clocks.now(),
            idle_since=None,
        )
        self.loop.settle()

    def ping(self, seconds: float, instance: InstanceId = A, owner: str = "ping") -> float:
        """Ask for a lease and remember what was promised (loop's time)."""
        lease = self.controller.ping(instance, owner, "test", seconds)
        until = lease.until - self.clocks.offset
        self.promises[instance] = max(until, self.promises.get(instance, 0.0))
        self.loop.settle()
        return until

    def open_flows(self, instance: InstanceId = A) -> list[Flow]:
        """Return the connections that are really open."""
        addresses = self.view(instance).addresses
        return [flow for flow in self.table.entries.values() if flow.instance in addresses and is_open(flow)]

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note a violation; the next step of the loop fails with it, whoever swallows exceptions."""
        if not holds:
            self.loop.faults.append({"violated": otherwise})

    def check_release(self, machine: Machine) -> None:
        """Nobody may be there when the last thing that holds an instance awake is let go."""
        view = machine.view
        self.expect(not machine.came, "a packet came before the release")
        if view.level is not Level.AWAKE:
            return
        policy = view.policy
        assert policy is not None
        rule = FlowRule.of(policy, view.addresses)
        connected = [flow for flow in self.open_flows(view.id) if rule.counts(flow) and rule.holds(flow)]
        self.expect(not connected, f"asleep under {connected}")
        self.expect(self.gates.counts.get(view.id, 0) == 0, "asleep although the gate is held")
        self.expect(not self.gates.away, "asleep although the gate is not known")
        promised = self.promises.get(view.id, 0.0)
        self.expect(promised <= self.loop.time(), "asleep although a lease was promised")

    def _packet(self, flow: Flow) -> None:
        for instance, machine in self.instances.machines.items():
            if flow.instance not in machine.view.addresses:
                continue
            if machine.trapped:
                machine.came = True
            if machine.view.state is State.STANDBY:
                self.wake(instance)

    def _finish(self, work: Coroutine[None, None, None]) -> None:
        task = self.loop.create_task(work)
        for _ in range(1000):
            self.loop.settle()
            if task.done():
                break
            self.loop.advance(0.05)
        task.result()

    def _new_controller(self) -> StandbyController:
        return StandbyController(
            self.instances,
            self.table if self._has_table else None,
            self.gates,
            self.leases,
            self.clocks,
            self.settings,
            StandbyMetrics(self.registry),
        )


class FreezerError(HostError):
    """The freezer does not freeze."""
