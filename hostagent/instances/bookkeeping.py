"""What every transition does besides its work: the journal, the events, the metrics and whoever listens."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypedDict, Unpack

from opentelemetry.trace import Tracer

from hostagent.clock import Clock
from hostagent.errors import HostError
from hostagent.instances.events import EventLog, EventType
from hostagent.instances.faults import Faults
from hostagent.instances.journal import JournalWriter, write_copy
from hostagent.instances.model import InstanceId, InstanceRecord, InstanceSpec, Level, ProcessStamp
from hostagent.instances.registry import Instance, Registry
from hostagent.instances.turnstile import Turnstile
from hostagent.logs import get_logger
from hostagent.metrics import LifecycleMetrics
from hostagent.network.contract import Network, WakeTrap
from hostagent.runtimes.contract import Runtime
from hostagent.settings import HostSettings
from hostagent.standby.ports import InstanceView, LifecycleAction, LifecycleEvent

_log = get_logger("lifecycle")


class GateFiles(Protocol):
    """The files instances hold themselves awake with; served by a process that outlives the agent."""

    async def create(self, instance: InstanceId, *, reset: bool) -> Path | None:
        """Make the instance's file where it is missing; None where gates are switched off. With `reset` the
        count is 0, else it is kept.
        """

    async def remove(self, instance: InstanceId) -> None:
        """Remove it; fine when there is none."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything transitions work with."""

    settings: HostSettings
    clock: Clock
    journal: JournalWriter
    registry: Registry
    runtimes: Mapping[str, Runtime]
    network: Network
    trap: WakeTrap
    gates: GateFiles
    events: EventLog
    metrics: LifecycleMetrics
    tracer: Tracer
    turnstile: Turnstile
    faults: Faults


class Changes(TypedDict, total=False):
    """The fields of a record that a transition changes."""

    spec: InstanceSpec
    wanted: str
    level: Level
    intent: str | None
    process: ProcessStamp | None
    started_at: float | None
    stopped_at: float | None
    idle_since: float | None
    exit_status: int | None
    wakes: tuple[tuple[Level, float], ...]
    generation: int


class Bookkeeper:
    """Writes down and tells."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._listeners: list[Callable[[LifecycleEvent], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def runtime(self, instance: Instance) -> Runtime:
        """Return the instance's runtime; raises HostError when this agent does not have it."""
        kind = instance.record.spec.runtime
        if (runtime := self._parts.runtimes.get(kind)) is None:
            raise HostError(
                f"the instance {instance.name!r} needs the runtime {kind!r}, which this agent does not have"
            )
        return runtime

    def change(self, instance: Instance, **changes: Unpack[Changes]) -> InstanceRecord:
        """Change the record in memory."""
        instance.record = replace(instance.record, **changes)  # type: ignore[arg-type]
        return instance.record

    async def write(self, instance: Instance, **changes: Unpack[Changes]) -> None:
        """Change the record and wait until the disk has it; raises JournalError, then memory alone has it."""
        await self._parts.journal.save(self.change(instance, **changes))

    async def try_to_write(self, instance: Instance, **changes: Unpack[Changes]) -> None:
        """Do the same where the change is true already: a failure is logged, the next start looks."""
        try:
            await self.write(instance, **changes)
        except HostError as error:
            _log.error("a change is not in the journal", instance=instance.name, error=str(error))

    async def copy(self, instance: Instance) -> None:
        """Write `instance.json` into the instance's directory; a failure is logged."""
        directory = self._parts.settings.instance_dir(instance.id)
        try:
            await asyncio.to_thread(write_copy, directory, instance.record)
        except OSError as error:
            _log.warning("no copy of the record", instance=instance.name, error=str(error))

    def keep_output(self, instance: Instance) -> None:
        """See to it that the output of an instance that this agent did not start stays bounded, too."""
        self.runtime(instance).keep_log(instance.id, self._parts.settings.instance_dir(instance.id))

    def settle(self, instance: Instance, level: Level) -> None:
        """Say that the instance is at a level now."""
        self._parts.metrics.moved(instance.level, level, instance.record.spec.runtime)
        now = self._parts.clock.now()
        if level is not instance.level and Level.AWAKE in (level, instance.level):
            instance.turned = now
        instance.level = level
        instance.since = now

    def publish(
        self,
        instance: Instance,
        kind: EventType,
        *,
        reason: str = "",
        from_level: Level | None = None,
        **details: str | int | float | None,
    ) -> None:
        """Publish an event of the instance and log it."""
        self._parts.events.publish(
            self._parts.clock.now(),
            kind,
            instance=instance.id,
            name=instance.name,
            generation=instance.record.generation,
            level=instance.level,
            from_level=from_level,
            reason=reason,
            **details,
        )
        _log.info(
            kind.value,
            instance=instance.name,
            level=instance.level.value,
            generation=instance.record.generation,
            reason=reason,
            **details,
        )

    def subscribe(self, listener: Callable[[LifecycleEvent], None]) -> Callable[[], None]:
        """Tell a listener of every transition; returns how to stop."""
        self._listeners.append(listener)

        def forget() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return forget

    def tell(self, action: LifecycleAction, instance: Instance) -> None:
        """Tell those who listen; one that fails is logged."""
        view = None if instance.deleted else self.view(instance)
        for listener in list(self._listeners):
            try:
                listener(LifecycleEvent(action, instance.id, view))
            except Exception:  # noqa: BLE001 (a listener's fault must not fail the transition that happened)
                _log.exception("a listener failed", action=action, instance=instance.name)

    def view(self, instance: Instance) -> InstanceView:
        """Return the instance as the standby controller sees it."""
        record = instance.record
        runtime = self._parts.runtimes.get(record.spec.runtime)
        levels = () if runtime is None else runtime.levels().values()
        return InstanceView(
            id=record.id,
            state=instance.state,
            level=instance.level,
            generation=record.generation,
            policy=record.spec.auto_standby,
            addresses=(record.addresses.ipv4, record.addresses.ipv6),
            waking=instance.waking is not None,
            since=instance.turned,
            idle_since=record.idle_since,
            last_inbound_activity_at=record.last_inbound_activity_at,
            levels=frozenset(answer.level for answer in levels if answer.supported),
            wakes=record.wakes,
        )

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something in the background that `drain` waits for; a failure is logged."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a transition failed", task=task.get_name(), error=f"{type(error).__name__}: {error}")

    async def drain(self, within: float) -> None:
        """Wait for what runs in the background, then cancel it."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(list(self._tasks), timeout=within)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
