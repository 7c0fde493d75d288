"""Down the ladder, in the order that strands nobody.

Lock, intent, trap, look, freeze, look again, then the deeper levels. The trap is there before the first look:
whoever comes is either seen by a look or calls back, and either gives the sleep up, until the last release.
"""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TypeVar

from hostagent.activity.evidence import Evidence
from hostagent.errors import (
    HostError,
    InstanceInStandbyError,
    InvalidStateError,
    SleepAborted,
    UnsupportedError,
)
from hostagent.instances.bookkeeping import Bookkeeper, Parts
from hostagent.instances.events import EventType
from hostagent.instances.faults import FaultPoint
from hostagent.instances.model import Level
from hostagent.instances.registry import Fall, Instance
from hostagent.instances.starting import Starter
from hostagent.instances.waking import Waker
from hostagent.logs import get_logger
from hostagent.spans import span
from hostagent.standby.ports import StillIdle

T = TypeVar("T")

_log = get_logger("lifecycle")
_THAW_ATTEMPTS = 5
_THAW_PAUSE = 0.02


class _GivenUp(Exception):  # noqa: N818 (no fault)
    """Somebody came; carries who."""


class Sleeper:
    """Puts instances to sleep."""

    def __init__(self, parts: Parts, book: Bookkeeper, starter: Starter, waker: Waker) -> None:
        self._parts = parts
        self._book = book
        self._starter = starter
        self._waker = waker

    async def sleep(
        self, instance: Instance, level: Level, *, generation: int | None, reason: str, still_idle: StillIdle
    ) -> None:
        """Put it to sleep, or deeper; see `InstancesPort.standby`. `generation` None takes any."""
        parts = self._parts
        self._refuse(instance, level, generation)
        began = parts.clock.monotonic()
        attributes: dict[str, str | int | float] = {"instance": instance.id, "level": level.value}
        with span(parts.tracer, "InstanceStandby", reason=reason, **attributes):
            async with parts.turnstile.sleeping(), instance.lock:
                self._refuse(instance, level, generation)
                before = instance.level
                fall = instance.fall = Fall(level)
                try:
                    given_back = await self._descend(instance, fall, still_idle)
                except BaseException as error:
                    await _whole(self._book.spawn(self._back(instance, fall, before, error), "abort"))
                    instance.fall = None
                    if fall.wake_after is not None:
                        self._waker.begin(instance, fall.wake_after)
                    status = "aborted" if isinstance(error, _GivenUp) else "error"
                    parts.metrics.took("standby", parts.clock.monotonic() - began, status)
                    raise _outcome(instance, fall, error) from error
                instance.fall = None
                self._book.settle(instance, level)
        seconds = parts.clock.monotonic() - began
        parts.metrics.took("standby", seconds)
        parts.metrics.reclaimed(given_back)
        self._book.publish(
            instance,
            EventType.STANDBY,
            reason=reason,
            from_level=before,
            seconds=round(seconds, 6),
            bytes=given_back,
        )
        self._book.tell("standby", instance)
        if fall.wake_after is not None:
            self._waker.begin(instance, fall.wake_after)

    def _refuse(self, instance: Instance, level: Level, generation: int | None) -> None:
        if instance.deleted or instance.trouble is not None:
            raise InvalidStateError(f"the instance {instance.name!r} is not in a state to sleep")
        if instance.waking is not None:
            raise SleepAborted(f"the instance {instance.name!r} is being woken")
        if generation is not None and generation != instance.record.generation:
            raise SleepAborted(
                f"the decision was made for generation {generation}; "
                f"the instance {instance.name!r} is at {instance.record.generation}"
            )
        if instance.record.wanted == "stopped":
            raise InvalidStateError(f"the instance {instance.name!r} is stopped")
        if instance.level.depth >= level.depth:
            raise InstanceInStandbyError(f"the instance {instance.name!r} is {instance.level.value} already")
        support = self._book.runtime(instance).levels().get(level)
        if level is Level.AWAKE or support is None or not support.supported:
            answer = "no such level to sleep at" if support is None else support.answer
            raise UnsupportedError(f"the instance {instance.name!r} cannot be {level.value} here: {answer}")

    async def _descend(self, instance: Instance, fall: Fall, still_idle: StillIdle) -> int:
        """Do the steps; return the bytes given back. Raises _GivenUp, HostError, OSError, TimeoutError."""
        parts, book, target = self._parts, self._book, fall.target
        runtime, record = book.runtime(instance), instance.record
        given_back = 0
        async with asyncio.timeout(parts.settings.standby.deadline):
            await self._pass(instance, fall, FaultPoint.SLEEP_LOCKED)
            await book.write(instance, intent=f"standby:{target.value}", generation=record.generation + 1)
            await self._pass(instance, fall, FaultPoint.SLEEP_INTENT)
            if instance.level is Level.AWAKE:
                await parts.trap.install(record.id, record.addresses, hold=False)
            await self._pass(instance, fall, FaultPoint.SLEEP_TRAPPED)
            _look(instance, still_idle)
            await self._pass(instance, fall, FaultPoint.SLEEP_CHECKED)
            if instance.level is Level.AWAKE:
                await _unless_somebody_comes(fall, runtime.freeze(record.id))
            await self._pass(instance, fall, FaultPoint.SLEEP_FROZEN)
            _look(instance, still_idle)
            await self._pass(instance, fall, FaultPoint.SLEEP_RECHECKED)
            if target is Level.RECLAIMED:
                given_back = await _unless_somebody_comes(fall, runtime.reclaim(record.id))
                await self._pass(instance, fall, FaultPoint.SLEEP_RECLAIMED)
            elif target is Level.STOPPED:
                await parts.trap.install(record.id, record.addresses, hold=True)
                _raise_if_somebody_came(fall)
            if target is not Level.STOPPED:
                await book.write(instance, level=target, intent=None)
                await self._pass(instance, fall, FaultPoint.SLEEP_RECORDED)
                return given_back
        await self._release(instance, fall)
        return 0

    async def _release(self, instance: Instance, fall: Fall) -> None:
        """Let the process go: from here on only a whole wake brings it back."""
        fall.released = True
        fall.step = "release"
        await self._starter.end_process(instance, self._parts.settings.process.stop_grace)
        await self._parts.faults(FaultPoint.SLEEP_STOPPED, instance.id)
        await self._book.try_to_write(
            instance, level=Level.STOPPED, intent=None, process=None, stopped_at=self._parts.clock.now()
        )
        await self._parts.faults(FaultPoint.SLEEP_RECORDED, instance.id)

    async def _pass(self, instance: Instance, fall: Fall, point: FaultPoint) -> None:
        """Go past a step, unless somebody came."""
        fall.step = point.value.partition(".")[2]
        await self._parts.faults(point, instance.id)
        _raise_if_somebody_came(fall)

    async def _back(self, instance: Instance, fall: Fall, before: Level, error: BaseException) -> None:
        """Make the instance run again after a sleep that was given up or failed."""
        given_up = isinstance(error, _GivenUp)
        reason = str(error) or type(error).__name__
        if fall.released:
            await self._after_failed_release(instance, reason)
            return
        if not await self._thaw(instance):
            self._book.settle(instance, Level.FROZEN)  # it stays trapped: the next packet tries again
            await self._book.try_to_write(instance, level=Level.FROZEN, intent=None)
            self._book.publish(instance, EventType.STANDBY_FAILED, reason=f"{reason}; it cannot be thawed")
            self._book.tell("restore", instance)
            return
        self._book.change(instance, intent=None)
        if before is not Level.AWAKE:
            self._waker.risen(instance, reason, 0.0)
            return
        await self._parts.trap.remove(instance.id)
        await self._book.try_to_write(instance, level=Level.AWAKE, generation=instance.record.generation + 1)
        if given_up:
            self._parts.metrics.aborted(fall.step)
            self._book.publish(instance, EventType.STANDBY_ABORTED, reason=reason, step=fall.step)
        else:
            self._book.publish(instance, EventType.STANDBY_FAILED, reason=reason, step=fall.step)
        self._book.tell("restore", instance)

    async def _after_failed_release(self, instance: Instance, reason: str) -> None:
        """Ending the process failed half-way: look what is left of it."""
        found = await self._book.runtime(instance).inspect(instance.id, instance.record.process)
        level = Level.STOPPED if found.process is None else Level.FROZEN if found.frozen else Level.AWAKE
        instance.ending = found.process is None
        self._book.settle(instance, level)
        if level is Level.AWAKE:
            await self._parts.trap.remove(instance.id)
        await self._book.try_to_write(instance, level=level, intent=None)
        self._book.publish(instance, EventType.STANDBY_FAILED, reason=reason, step="release")
        self._book.tell("restore" if level is Level.AWAKE else "standby", instance)

    async def _thaw(self, instance: Instance) -> bool:
        for attempt in range(_THAW_ATTEMPTS):
            try:
                self._book.runtime(instance).thaw(instance.id)
            except (HostError, OSError) as error:
                _log.error("cannot thaw", instance=instance.name, attempt=attempt + 1, error=str(error))
                await asyncio.sleep(_THAW_PAUSE)
            else:
                return True
        return False


async def _whole(task: asyncio.Task[None]) -> None:
    """Wait for the task, whatever happens to the caller meanwhile."""
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])


def _look(instance: Instance, still_idle: StillIdle) -> None:
    evidence: Evidence | None = still_idle(instance.id)
    if evidence is not None:
        raise _GivenUp(evidence.detail)


def _raise_if_somebody_came(fall: Fall) -> None:
    if fall.aborted_by is not None:
        raise _GivenUp(fall.aborted_by)


async def _unless_somebody_comes(fall: Fall, work: Awaitable[T]) -> T:
    """Await the work, but no longer than until somebody comes; then raise _GivenUp after it has ended."""
    task = asyncio.ensure_future(work)
    came = asyncio.ensure_future(fall.came.wait())
    try:
        await asyncio.wait((task, came), return_when=asyncio.FIRST_COMPLETED)
        if fall.aborted_by is not None:
            raise _GivenUp(fall.aborted_by)
        return await task
    finally:
        came.cancel()
        task.cancel()
        await asyncio.gather(task, came, return_exceptions=True)


def _outcome(instance: Instance, fall: Fall, error: BaseException) -> BaseException:
    """Return what the caller is told."""
    if isinstance(error, _GivenUp):
        return SleepAborted(f"the instance {instance.name!r} stays awake: {error} (at {fall.step})")
    if isinstance(error, TimeoutError):
        return HostError(
            f"the instance {instance.name!r} did not go to sleep in time (at {fall.step}); it is awake"
        )
    if isinstance(error, OSError):
        return HostError(f"the instance {instance.name!r} could not go to sleep (at {fall.step}): {error}")
    return error
