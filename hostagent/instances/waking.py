"""Up the ladder in one step: what is frozen is thawed in the packet's own callback, books come later."""

import asyncio
import contextlib
import os

from hostagent.errors import HostError, InvalidStateError
from hostagent.instances.bookkeeping import Bookkeeper, Parts
from hostagent.instances.events import EventType
from hostagent.instances.faults import FaultPoint
from hostagent.instances.journal import WAKES_KEPT
from hostagent.instances.listening import Service, wait_listening
from hostagent.instances.model import InstanceId, Level
from hostagent.instances.registry import Instance
from hostagent.instances.starting import Starter
from hostagent.logs import get_logger
from hostagent.network.contract import WakePacket
from hostagent.spans import span

_log = get_logger("lifecycle")
_BREATH = 0.003
"""Seconds of our silence after a thaw. Books take one millisecond, and on a busy machine the first byte
waited for it.
"""
_TURN = 5.0
"""Seconds for which an instance that starts may keep others from being started, and all from sleeping."""
_PROTOCOLS = {6: "tcp", 17: "udp"}


class Waker:
    """Wakes instances: one wake for each, however many ask."""

    def __init__(self, parts: Parts, book: Bookkeeper, starter: Starter) -> None:
        self._parts = parts
        self._book = book
        self._starter = starter

    def on_arrival(self, instance_id: InstanceId) -> None:
        """A packet came for somebody: if it is frozen let it run; who sent what is asked in `on_packet`."""
        instance = self._parts.registry.get(instance_id)
        if (
            instance is not None
            and instance.level in (Level.FROZEN, Level.RECLAIMED)
            and self._thaw(instance)
        ):
            # it may be in line for this very core: who woke it is served before our books
            os.sched_yield()

    def on_packet(self, instance_id: InstanceId, packet: WakePacket) -> None:
        """A packet came for somebody who sleeps or is about to: wake it now."""
        instance = self._parts.registry.get(instance_id)
        if instance is not None:
            self.begin(instance, describe(packet))

    def begin(self, instance: Instance, reason: str) -> None:
        """Begin a wake, or have a sleep under way given up; quick, never waits."""
        arrived = self._parts.clock.monotonic()
        if instance.fall is not None:
            instance.fall.abort(reason)
            if not instance.fall.released:
                self._thaw(instance)
        elif instance.waking is not None or (instance.ending and instance.level is not Level.STOPPED):
            return
        elif instance.level in (Level.FROZEN, Level.RECLAIMED):
            if self._thaw(instance):
                seconds = self._parts.clock.monotonic() - arrived
                instance.waking = self._book.spawn(
                    self._rise(instance, reason, seconds), f"wake {instance.name}"
                )
            else:
                self._book.publish(instance, EventType.RESTORE_FAILED, reason=reason)
        elif instance.wakeable:
            instance.waking = self._book.spawn(
                self._start(instance, reason, arrived), f"wake {instance.name}"
            )
            self._book.tell("restore", instance)

    def _thaw(self, instance: Instance) -> bool:
        try:
            self._book.runtime(instance).thaw(instance.id)
        except (HostError, OSError) as error:
            _log.error("cannot thaw", instance=instance.name, error=str(error))
            return False
        return True

    async def _rise(self, instance: Instance, reason: str, seconds: float) -> None:
        """Let the thawed instance answer first, then say that it runs."""
        before = instance.level
        await asyncio.sleep(_BREATH)
        if instance.level is before and not instance.deleted:
            self.risen(instance, reason, seconds)
        else:  # it was stopped or removed meanwhile
            instance.waking = None

    def risen(self, instance: Instance, reason: str, seconds: float) -> None:
        """The instance runs again: say so, and do the books in the background."""
        record, before = instance.record, instance.level
        self._book.change(
            instance,
            level=Level.AWAKE,
            generation=record.generation + 1,
            idle_since=None,
            wakes=(*record.wakes, (before, seconds))[-WAKES_KEPT:],
        )
        self._book.settle(instance, Level.AWAKE)
        self._book.keep_output(instance)
        self._parts.metrics.woke(before, seconds)
        instance.waking = self._book.spawn(
            self._finish(instance, before, reason, seconds), f"wake {instance.name}"
        )
        self._book.tell("restore", instance)

    async def _finish(self, instance: Instance, before: Level, reason: str, seconds: float) -> None:
        parts = self._parts
        began = parts.clock.monotonic()
        try:
            with span(
                parts.tracer, "InstanceRestore", instance=instance.id, level=before.value, reason=reason
            ):
                async with parts.turnstile.waking(), instance.lock:
                    await parts.faults(FaultPoint.WAKE_THAWED, instance.id)
                    if instance.level is Level.AWAKE and not instance.deleted:
                        await parts.trap.remove(instance.id)
                        await parts.faults(FaultPoint.WAKE_UNTRAPPED, instance.id)
                        await self._book.try_to_write(instance)
                        await parts.faults(FaultPoint.WAKE_RECORDED, instance.id)
        finally:
            instance.waking = None
        parts.metrics.took("restore", seconds + parts.clock.monotonic() - began)
        if not instance.deleted:
            self._book.publish(
                instance, EventType.RESTORE, reason=reason, from_level=before, seconds=round(seconds, 6)
            )
            self._book.tell("restore", instance)

    async def _start(self, instance: Instance, reason: str, arrived: float) -> None:
        """Start a stopped instance and let the packets that wait go on once its service listens."""
        parts = self._parts
        try:
            with span(parts.tracer, "InstanceRestore", instance=instance.id, level="stopped", reason=reason):
                async with contextlib.AsyncExitStack() as turn:
                    await turn.enter_async_context(parts.turnstile.waking())
                    async with instance.lock:
                        if not instance.wakeable or instance.level is not Level.STOPPED or instance.deleted:
                            return
                        await parts.faults(FaultPoint.WAKE_INTENT, instance.id)
                        await self._starter.launch(instance, repair=False)
                        answers = await self._await_service(instance, arrived, turn)
                        await parts.trap.release(instance.id)
                        await parts.trap.remove(instance.id)
                        seconds = parts.clock.monotonic() - arrived
                        wakes = (*instance.record.wakes, (Level.STOPPED, seconds))[-WAKES_KEPT:]
                        await self._book.try_to_write(instance, wakes=wakes)
        except (HostError, OSError) as error:
            parts.metrics.took("restore", parts.clock.monotonic() - arrived, "error")
            self._book.publish(instance, EventType.RESTORE_FAILED, reason=f"{reason}: {error}")
            raise
        finally:
            instance.waking = None
        parts.metrics.woke(Level.STOPPED, seconds)
        parts.metrics.took("restore", seconds)
        said = (
            reason if answers else f"{reason}; nothing listens there after {parts.settings.wake.deadline:g} s"
        )
        self._book.publish(
            instance, EventType.RESTORE, reason=said, from_level=Level.STOPPED, seconds=round(seconds, 6)
        )
        self._book.tell("restore", instance)

    async def _await_service(
        self, instance: Instance, arrived: float, turn: contextlib.AsyncExitStack
    ) -> bool:
        """Wait until a port that somebody waits for is listened to; False when none was in time.

        After a while it ends our turn: a port where nothing ever listens must not hold up other instances.
        """

        def wanted() -> set[Service]:
            return {
                (_PROTOCOLS[packet.protocol], packet.destination_port)
                for packet in self._parts.trap.held(instance.id)
                if packet.protocol in _PROTOCOLS and packet.destination_port is not None
            }

        if (process := instance.record.process) is None:
            return False
        left = max(0.0, self._parts.settings.wake.deadline - (self._parts.clock.monotonic() - arrived))
        if await wait_listening(process.pid, wanted, min(left, _TURN)):
            return True
        await turn.aclose()
        return await wait_listening(process.pid, wanted, left - min(left, _TURN))

    def refuse_unless_wakeable(self, instance: Instance) -> None:
        """Raise InvalidStateError for an instance that only `start` brings back."""
        if instance.level is Level.STOPPED and instance.record.wanted == "stopped":
            raise InvalidStateError(
                f"the instance {instance.name!r} is stopped, not in standby; start it instead"
            )


def describe(packet: WakePacket) -> str:
    """Return `packet from 10.0.0.2 to port 8080`, with what is known."""
    text = "packet" if packet.source is None else f"packet from {packet.source}"
    return text if packet.destination_port is None else f"{text} to port {packet.destination_port}"
