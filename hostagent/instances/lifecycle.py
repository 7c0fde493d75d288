"""What can be done with instances: made, started, stopped, put to sleep, woken, removed.

This is the standby controller's `InstancesPort` and what the API calls. Each transition is a file of its own:
`starting`, `falling`, `waking`, `adoption`.
"""

import asyncio
import builtins
from collections.abc import Callable, Mapping
from dataclasses import replace

from hostagent.errors import HostError, InvalidStateError, NotFoundError
from hostagent.instances.adoption import Adopter
from hostagent.instances.bookkeeping import Bookkeeper, Parts
from hostagent.instances.events import EventType
from hostagent.instances.falling import Sleeper
from hostagent.instances.faults import FaultPoint
from hostagent.instances.model import (
    AutoStandbyPolicy,
    InstanceId,
    InstanceRecord,
    InstanceSpec,
    Level,
    State,
)
from hostagent.instances.registry import Instance, Registry, new_id, state_of
from hostagent.instances.starting import Starter
from hostagent.instances.waking import Waker
from hostagent.logs import get_logger
from hostagent.spans import span
from hostagent.standby.ports import IdleStamps, InstanceView, LifecycleEvent, StillIdle

_log = get_logger("lifecycle")

DRAIN = 15.0
"""Seconds that wakes under way are waited for when the agent ends."""


class Lifecycle:
    """The instances of this host."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._book = Bookkeeper(parts)
        self._starter = Starter(parts, self._book)
        self._waker = Waker(parts, self._book, self._starter)
        self._sleeper = Sleeper(parts, self._book, self._starter, self._waker)
        self._adopter = Adopter(parts, self._book, self._starter, self._waker)

    @property
    def registry(self) -> Registry:
        """The instances in memory, to look up."""
        return self._parts.registry

    async def start(self) -> None:
        """Take over what the journal knows: adopt, finish or roll back; then packets wake.

        Raises JournalError. An instance that cannot be taken over says so in `state_error`; others go on.
        """
        await self._adopter.load()
        await self._parts.trap.start(self._waker.on_packet, self._waker.on_arrival)
        await self._adopter.adopt_all()

    async def stop(self) -> None:
        """Finish what is under way and leave instances as they are; packets count for the next start."""
        await self._book.drain(DRAIN)
        await self._parts.trap.stop()

    # the standby controller's port

    def list(self) -> builtins.list[InstanceView]:
        """Return every instance, from memory."""
        return [self._book.view(one) for one in self.registry]

    def get(self, instance: InstanceId) -> InstanceView | None:
        """Return one instance, from memory."""
        found = self.registry.get(instance)
        return None if found is None else self._book.view(found)

    def subscribe(self, listener: Callable[[LifecycleEvent], None]) -> Callable[[], None]:
        """Tell transitions, changes of policy and begins of wakes; returns how to stop."""
        return self._book.subscribe(listener)

    async def standby(
        self, instance: InstanceId, level: Level, *, generation: int, reason: str, still_idle: StillIdle
    ) -> None:
        """Put an instance to sleep; see `InstancesPort.standby`."""
        await self._sleeper.sleep(
            self.registry.require(instance),
            level,
            generation=generation,
            reason=reason,
            still_idle=still_idle,
        )

    async def set_stamps(self, stamps: Mapping[InstanceId, IdleStamps]) -> None:
        """Write idle stamps down in one transaction; see `InstancesPort.set_stamps`."""
        known: dict[InstanceId, tuple[float | None, float | None]] = {}
        for one, stamp in stamps.items():
            if (instance := self.registry.get(one)) is not None:
                known[one] = (stamp.idle_since, stamp.last_inbound_activity_at)
                instance.record = replace(
                    instance.record,
                    idle_since=stamp.idle_since,
                    last_inbound_activity_at=stamp.last_inbound_activity_at,
                )
        if known:
            await self._parts.journal.set_stamps(known)

    # what the API asks

    async def create(self, spec: InstanceSpec) -> Instance:
        """Make an instance and start it; raises HostError, and then there is none."""
        parts = self._parts
        began = parts.clock.monotonic()
        self.registry.check_free(spec)
        identity = new_id()
        addresses = parts.network.allocate(identity, [one.record.addresses for one in self.registry])
        now = parts.clock.now()
        record = InstanceRecord(identity, spec, addresses, created_at=now, intent="start")
        instance = Instance(record, Level.STOPPED, since=now)
        self.registry.add(instance)
        parts.metrics.moved(None, Level.STOPPED, spec.runtime)
        try:
            with span(parts.tracer, "InstanceCreate", instance=identity, called=spec.name):
                async with instance.lock:
                    await self._book.write(instance)
                    await parts.faults(FaultPoint.CREATE_RECORDED, identity)
                    await self._starter.launch(instance)
        except BaseException:
            await asyncio.shield(self._book.spawn(self._unmake(instance), f"unmake {spec.name}"))
            parts.metrics.took("create", parts.clock.monotonic() - began, "error")
            raise
        parts.metrics.took("create", parts.clock.monotonic() - began)
        self._book.publish(instance, EventType.CREATE)
        self._book.tell("create", instance)
        return instance

    async def _unmake(self, instance: Instance) -> None:
        """Remove an instance that could not be made, even where the journal cannot be written."""
        async with instance.lock:
            try:
                await self._starter.remove(instance, tell=False)
            finally:
                self.registry.remove(instance.id)
                instance.deleted = True

    async def start_instance(self, instance: Instance) -> None:
        """Start a stopped instance; raises InvalidStateError for another."""
        parts = self._parts
        began = parts.clock.monotonic()
        async with parts.turnstile.waking(), instance.lock:
            self._refuse_deleted(instance)
            if instance.level is not Level.STOPPED:
                raise InvalidStateError(f"the instance {instance.name!r} is {instance.level}, not stopped")
            with span(parts.tracer, "InstanceStart", instance=instance.id):
                self._book.change(instance, wanted="running")
                await self._starter.launch(instance)
                await parts.trap.remove(instance.id)
        parts.metrics.took("start", parts.clock.monotonic() - began)
        self._book.publish(instance, EventType.START, from_level=Level.STOPPED)
        self._book.tell("start", instance)

    async def stop_instance(self, instance: Instance) -> None:
        """End its command and let no packet start it again; InvalidStateError when it is so already."""
        parts = self._parts
        began = parts.clock.monotonic()
        if instance.fall is not None:
            instance.fall.abort("it is being stopped")
        async with instance.lock:
            self._refuse_deleted(instance)
            if instance.level is Level.STOPPED and instance.record.wanted == "stopped":
                raise InvalidStateError(f"the instance {instance.name!r} is stopped already")
            before = instance.level
            with span(parts.tracer, "InstanceStop", instance=instance.id):
                await self._book.write(
                    instance, intent="stop", wanted="stopped", generation=instance.record.generation + 1
                )
                await parts.faults(FaultPoint.STOP_INTENT, instance.id)
                status = await self._starter.end_process(instance, parts.settings.process.stop_grace)
                await parts.trap.remove(instance.id)
                await parts.faults(FaultPoint.STOP_STOPPED, instance.id)
                self._book.settle(instance, Level.STOPPED)
                await self._book.try_to_write(
                    instance,
                    level=Level.STOPPED,
                    intent=None,
                    process=None,
                    stopped_at=parts.clock.now(),
                    exit_status=status,
                    idle_since=None,
                )
                await parts.faults(FaultPoint.STOP_RECORDED, instance.id)
        parts.metrics.took("stop", parts.clock.monotonic() - began)
        self._book.publish(instance, EventType.STOP, from_level=before, exit_status=status)
        self._book.tell("stop", instance)

    async def delete(self, instance: Instance) -> None:
        """End it and remove everything of it."""
        if instance.fall is not None:
            instance.fall.abort("it is being removed")
        async with instance.lock:
            self._refuse_deleted(instance)
            await self._starter.remove(instance)

    async def take_down(self, *, remove: bool) -> None:
        """End every command; with `remove` nothing of the instances is kept, else the next agent has them.

        Call it when nothing else changes instances any more.
        """
        for instance in self.registry:
            if instance.fall is not None:
                instance.fall.abort("the agent is taken down")
            try:
                async with instance.lock:
                    await self._take_down(instance, remove=remove)
            except (HostError, OSError) as error:  # the others and the host's rules go all the same
                _log.error("cannot take it down", instance=instance.name, error=str(error))

    async def _take_down(self, instance: Instance, *, remove: bool) -> None:
        if remove:
            await self._starter.remove(instance)
        elif instance.level is not Level.STOPPED:
            status = await self._starter.end_process(instance, self._parts.settings.process.stop_grace)
            self._book.settle(instance, Level.STOPPED)
            # the journal goes on saying that it ran: the next agent starts it, or waits for a packet
            await self._book.try_to_write(
                instance, level=Level.AWAKE, intent=None, process=None, exit_status=status
            )

    async def sleep(
        self, instance: Instance, level: Level | None, *, reason: str, still_idle: StillIdle
    ) -> None:
        """Put it to sleep because somebody asks; `level` None is the deepest it wakes from by itself."""
        await self._sleeper.sleep(
            instance,
            level or self.deepest(instance),
            generation=None,
            reason=reason,
            still_idle=still_idle,
        )

    def deepest(self, instance: Instance) -> Level:
        """Return the deepest level at which its process stays; raises UnsupportedError through `sleep`."""
        levels = self._book.runtime(instance).levels()
        for level in (Level.STANDBY, Level.RECLAIMED):
            if level in levels and levels[level].supported:
                return level
        return Level.FROZEN

    async def wake(self, instance: Instance, reason: str) -> None:
        """Wake it and return when it runs; fine when it runs already.

        Raises InvalidStateError for one that is stopped for good, HostError when it cannot be woken.
        """
        self._refuse_deleted(instance)
        self._waker.refuse_unless_wakeable(instance)
        self._waker.begin(instance, reason)
        if (task := instance.waking) is not None:
            await asyncio.wait([task])
        async with instance.lock:
            self._refuse_deleted(instance)
        if (task := instance.waking) is not None:  # it had gone past the last release
            await asyncio.wait([task])
        if instance.level is not Level.AWAKE:
            raise HostError(
                f"the instance {instance.name!r} could not be woken; it is {instance.level.value}, and kept. "
                f"`catnap host why {instance.name}` says what happened"
            )

    async def set_policy(self, instance: Instance, policy: AutoStandbyPolicy | None) -> None:
        """Change when it may sleep, whatever state it is in."""
        async with instance.lock:
            self._refuse_deleted(instance)
            before = instance.record.spec
            try:
                await self._book.write(instance, spec=replace(before, auto_standby=policy))
            except HostError:
                self._book.change(instance, spec=before)
                raise
        await self._book.copy(instance)
        self._book.publish(instance, EventType.UPDATE, reason="auto_standby changed")
        self._book.tell("update", instance)

    async def look(self, instance: Instance) -> tuple[State, str | None]:
        """Return the state that is really there, and why it is unknown if it is."""
        if instance.trouble is not None:
            return State.UNKNOWN, instance.trouble
        try:
            found = await self._book.runtime(instance).inspect(instance.id, instance.record.process)
        except (HostError, OSError) as error:
            return State.UNKNOWN, str(error)
        if found.process is None:
            return (State.CREATED if instance.record.intent == "start" else State.STOPPED), None
        return state_of(Level.FROZEN if found.frozen else Level.AWAKE), None

    def count(self) -> dict[tuple[str, str], int]:
        """Return how many instances there are by (state, runtime), from memory."""
        counts: dict[tuple[str, str], int] = {}
        for one in self.registry:
            key = (one.state.value, one.record.spec.runtime)
            counts[key] = counts.get(key, 0) + 1
        return counts

    def _refuse_deleted(self, instance: Instance) -> None:
        if instance.deleted:
            raise NotFoundError(f"the instance {instance.name!r} has been removed")
