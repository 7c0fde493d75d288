"""From nothing to a running command, and from a running command to nothing."""

import asyncio
import shutil

from hostagent.errors import HostError
from hostagent.instances.bookkeeping import Bookkeeper, Parts
from hostagent.instances.events import EventType
from hostagent.instances.faults import FaultPoint
from hostagent.instances.model import Level
from hostagent.instances.registry import Instance
from hostagent.logs import get_logger
from hostagent.runtimes.contract import LaunchPlan

_log = get_logger("lifecycle")


class Starter:
    """Starts and ends commands. Every method but `watch` is called under the instance's lock."""

    def __init__(self, parts: Parts, book: Bookkeeper) -> None:
        self._parts = parts
        self._book = book

    async def launch(self, instance: Instance, *, repair: bool = True) -> None:
        """Start the command: intent, network, gate, process, record. Raises HostError; then it is stopped.

        Without `repair` a network that is there is not touched: packets that wait for the instance would not
        survive their routes being set again.
        """
        parts, book = self._parts, self._book
        record = instance.record
        await book.write(instance, intent="start", generation=record.generation + 1, idle_since=None)
        try:
            await parts.faults(FaultPoint.START_INTENT, record.id)
            if repair or not instance.attached:
                await parts.network.attach(record.id, record.spec, record.addresses)
                instance.attached = True
            await parts.faults(FaultPoint.START_ATTACHED, record.id)
            plan = LaunchPlan(
                id=record.id,
                spec=record.spec,
                addresses=record.addresses,
                data_directory=parts.settings.instance_dir(record.id),
                gate_file=await parts.gates.create(record.id, reset=True),
            )
            await asyncio.to_thread(plan.data_directory.mkdir, mode=0o755, parents=True, exist_ok=True)
            await parts.faults(FaultPoint.START_GATED, record.id)
            instance.ending = False
            self.watch(instance)  # before it starts: it may end at once
            stamp = await book.runtime(instance).start(plan)
            book.change(instance, process=stamp)
            await parts.faults(FaultPoint.START_LAUNCHED, record.id)
            await book.write(
                instance,
                level=Level.AWAKE,
                intent=None,
                started_at=parts.clock.now(),
                stopped_at=None,
                exit_status=None,
            )
        except BaseException:
            await self._undo(instance)
            raise
        await parts.faults(FaultPoint.START_RECORDED, record.id)
        instance.trouble = None
        book.settle(instance, Level.AWAKE)
        await book.copy(instance)

    async def _undo(self, instance: Instance) -> None:
        """Leave nothing running of a start that failed."""
        try:
            await self.end_process(instance, grace=0.0)
        except (HostError, OSError) as error:
            _log.error("cannot end what was started", instance=instance.name, error=str(error))
            return
        await self._book.try_to_write(instance, intent=None, process=None, level=Level.STOPPED)

    async def end_process(self, instance: Instance, grace: float) -> int | None:
        """End the command and remove what its start made; return its exit status where known."""
        runtime = self._book.runtime(instance)
        instance.ending = True
        found = await runtime.inspect(instance.id, instance.record.process)
        status = instance.record.exit_status
        if found.process is not None:
            if found.frozen:
                runtime.thaw(instance.id)
            status = await runtime.stop(instance.id, grace)
        await runtime.destroy(instance.id)
        return status

    def watch(self, instance: Instance) -> None:
        """Learn of the command's end; what is to be done then waits for the instance's lock."""
        if instance.unwatch is not None:
            instance.unwatch()

        def ended(status: int | None) -> None:
            if not (instance.ending or instance.deleted):
                self._book.spawn(self._ended(instance, status), f"end of {instance.name}")

        instance.unwatch = self._book.runtime(instance).on_exit(instance.id, ended)

    async def _ended(self, instance: Instance, status: int | None) -> None:
        """The command ended by itself: it is stopped, and no packet starts it again."""
        if instance.fall is not None:
            instance.fall.abort("its command ended")
        async with instance.lock:
            if instance.ending or instance.deleted or instance.level is Level.STOPPED:
                return
            await self.record_end(instance, status, "its command ended by itself")

    async def record_end(self, instance: Instance, status: int | None, reason: str) -> None:
        """Write down that the command is gone though nobody asked."""
        before = instance.level
        instance.ending = True
        self._book.settle(instance, Level.STOPPED)
        await self._parts.trap.remove(instance.id)
        await self._book.runtime(instance).destroy(instance.id)
        await self._book.try_to_write(
            instance,
            wanted="stopped",
            level=Level.STOPPED,
            intent=None,
            process=None,
            exit_status=status,
            stopped_at=self._parts.clock.now(),
            generation=instance.record.generation + 1,
            idle_since=None,
        )
        self._book.publish(instance, EventType.EXIT, reason=reason, from_level=before, exit_status=status)
        self._book.tell("stop", instance)

    async def remove(self, instance: Instance, *, tell: bool = True) -> None:
        """Remove everything of the instance: process, network, gate, directory, record."""
        parts, record = self._parts, instance.record
        # on a full disk, too: this is how room is made
        await self._book.try_to_write(
            instance, intent="delete", wanted="stopped", generation=record.generation + 1
        )
        await parts.faults(FaultPoint.DELETE_INTENT, record.id)
        await self.end_process(instance, parts.settings.process.stop_grace)
        await parts.faults(FaultPoint.DELETE_STOPPED, record.id)
        await parts.trap.remove(record.id)
        await parts.gates.remove(record.id)
        await parts.network.detach(record.id, record.addresses)
        await parts.faults(FaultPoint.DELETE_DETACHED, record.id)
        directory = parts.settings.instance_dir(record.id)
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        await parts.journal.delete(record.id)
        instance.deleted = True
        parts.registry.remove(record.id)
        parts.metrics.moved(instance.level, None, record.spec.runtime)
        await parts.faults(FaultPoint.DELETE_RECORDED, record.id)
        if tell:
            self._book.publish(instance, EventType.DELETE)
            self._book.tell("delete", instance)
