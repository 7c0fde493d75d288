"""After a start of the agent: what the journal intended meets what is really there.

What runs is taken over, what was being put to sleep is awake again, what was being stopped or removed is
stopped or removed, and what was asleep is asleep and wakes on the next packet.
"""

import asyncio
from pathlib import Path

from hostagent.errors import HostError
from hostagent.instances.bookkeeping import Bookkeeper, Parts
from hostagent.instances.events import EventType
from hostagent.instances.model import InstanceRecord, Level
from hostagent.instances.registry import Instance
from hostagent.instances.starting import Starter
from hostagent.instances.waking import Waker
from hostagent.logs import get_logger
from hostagent.runtimes.contract import Found

_log = get_logger("adoption")
_AT_ONCE = 8
"""How many instances are taken over at a time."""


class Adopter:
    """Takes over the journal's instances."""

    def __init__(self, parts: Parts, book: Bookkeeper, starter: Starter, waker: Waker) -> None:
        self._parts = parts
        self._book = book
        self._starter = starter
        self._waker = waker

    async def load(self) -> None:
        """Know every instance of the journal; raises JournalError."""
        for record in await self._parts.journal.records():
            self._parts.registry.add(Instance(record, record.level, since=self._parts.clock.now()))
            self._parts.metrics.moved(None, record.level, record.spec.runtime)

    async def adopt_all(self) -> None:
        """Take all over; one that cannot be says why, and does not keep the others from it."""
        limit = asyncio.Semaphore(_AT_ONCE)
        boot = _boot_id()

        async def one(instance: Instance) -> None:
            async with limit, instance.lock:
                try:
                    await self._adopt(instance, boot)
                except (HostError, OSError) as error:
                    instance.trouble = str(error)
                    _log.error("cannot take an instance over", instance=instance.name, error=str(error))

        await asyncio.gather(*(one(instance) for instance in self._parts.registry))

    async def _adopt(self, instance: Instance, boot: str) -> None:
        record = instance.record
        self._starter.watch(instance)
        found = await self._book.runtime(instance).inspect(record.id, record.process)
        if record.intent == "delete":
            await self._starter.remove(instance)
        elif record.intent == "stop":
            await self._stopped(
                instance, None if found.process is None else self._parts.settings.process.stop_grace
            )
        elif found.process is not None:
            await self._running(instance, found)
        else:
            await self._gone(instance, boot)

    async def _stopped(self, instance: Instance, grace: float | None) -> None:
        """Finish a stop that somebody asked for."""
        if grace is not None:
            await self._starter.end_process(instance, grace)
        await self._parts.trap.remove(instance.id)
        self._book.settle(instance, Level.STOPPED)
        await self._book.write(
            instance,
            level=Level.STOPPED,
            intent=None,
            process=None,
            wanted="stopped",
            stopped_at=self._parts.clock.now(),
        )
        self._adopted(instance, "its stop is finished")

    async def _running(self, instance: Instance, found: Found) -> None:
        """Its process is there: asleep if it was and nothing else was intended, else awake."""
        record = instance.record
        asleep = found.frozen and record.intent is None and record.level in (Level.FROZEN, Level.RECLAIMED)
        level = record.level if asleep else Level.AWAKE
        rolled_back = "" if record.intent is None else f"{record.intent} was given up"
        self._book.settle(instance, level)
        await self._parts.network.attach(record.id, record.spec, record.addresses)
        instance.attached = True
        await self._parts.gates.create(record.id, reset=False)
        if asleep:
            await self._parts.trap.install(record.id, record.addresses, hold=False)
        else:
            if found.frozen:
                self._book.runtime(instance).thaw(record.id)
            await self._parts.trap.remove(record.id)
            self._book.keep_output(instance)
        if record.level is not level or record.intent is not None or record.process != found.process:
            await self._book.write(
                instance,
                level=level,
                intent=None,
                process=found.process,
                started_at=record.started_at or self._parts.clock.now(),
                generation=record.generation + 1,
            )
        self._adopted(instance, rolled_back)

    async def _gone(self, instance: Instance, boot: str) -> None:
        """Its process is not there."""
        record = instance.record
        self._book.settle(instance, Level.STOPPED)
        if record.wanted == "stopped":
            await self._book.write(instance, level=Level.STOPPED, intent=None, process=None)
            self._adopted(instance, "")
        elif record.intent == "start" and record.level is Level.STOPPED:
            await self._launch(instance, "its start is finished")
        elif record.level is Level.STOPPED or record.intent == "standby:stopped":
            await self._wait_for_packets(instance, "")
        elif record.process is None:
            await self._run_again(instance, "it was taken down with the agent")
        elif record.process is not None and record.process.boot_id == boot:
            await self._starter.record_end(instance, None, "its command ended while no agent ran")
        else:
            await self._run_again(instance, "the machine was started again")

    async def _run_again(self, instance: Instance, reason: str) -> None:
        """Start it, or, where it may sleep, wait for the first packet."""
        policy = instance.record.spec.auto_standby
        if policy is not None and policy.enabled:
            await self._wait_for_packets(instance, f"{reason}; the next packet starts it")
        else:
            await self._launch(instance, reason)

    async def _launch(self, instance: Instance, reason: str) -> None:
        await self._starter.launch(instance)
        self._adopted(instance, reason)

    async def _wait_for_packets(self, instance: Instance, reason: str) -> None:
        """Be stopped, and start on the next packet."""
        record: InstanceRecord = instance.record
        await self._parts.network.attach(record.id, record.spec, record.addresses)
        instance.attached = True
        await self._book.runtime(instance).destroy(record.id)
        await self._book.write(instance, level=Level.STOPPED, intent=None, process=None)
        instance.ending = True
        await self._parts.trap.install(record.id, record.addresses, hold=True)
        self._adopted(instance, reason)

    def _adopted(self, instance: Instance, reason: str) -> None:
        self._book.publish(instance, EventType.ADOPT, reason=reason)


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
