"""The runtime `process`: a command in its own namespaces, user and cgroups."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from hostagent.errors import HostError, InvalidStateError, UnsupportedError
from hostagent.instances.model import InstanceId, Level, ProcessStamp
from hostagent.runtimes.contract import Found, LaunchPlan, LevelSupport
from hostagent.runtimes.process import open_files
from hostagent.runtimes.process.cgroup import Cgroup
from hostagent.runtimes.process.exit_watch import ExitWatch
from hostagent.runtimes.process.gate_mount import show_gate
from hostagent.runtimes.process.hierarchies import Hierarchies, find_hierarchies
from hostagent.runtimes.process.launch import launch, order_for
from hostagent.runtimes.process.log_keeper import LogKeeper
from hostagent.runtimes.process.output_log import log_of
from hostagent.runtimes.process.probes import NO_SWAP, probe_levels, remove_group, swap_free
from hostagent.runtimes.process.stamp import is_first_of_its_namespace, is_running, stamp_of

log = structlog.get_logger("process_runtime")

KILL_DEADLINE = 10.0
"""Seconds for the kernel to end what was killed."""


@dataclass(slots=True)
class _Instance:
    cgroup: Cgroup
    watch: ExitWatch | None = None
    listeners: list[Callable[[int | None], None]] = field(default_factory=list)


class ProcessRuntime:
    """Implements `hostagent.runtimes.contract.Runtime`; make one with `open`.

    What it knows of an instance can be lost at any time: `inspect` finds it again by its cgroup.
    """

    def __init__(self, hierarchies: Hierarchies, levels: Mapping[Level, LevelSupport], group: str) -> None:
        self._hierarchies = hierarchies
        self._levels = levels
        self.group = group
        self._instances: dict[InstanceId, _Instance] = {}
        self._logs = LogKeeper()

    @classmethod
    async def open(cls, group: str = "catnap") -> "ProcessRuntime":
        """Probe the machine; `group` is the cgroup above those of the instances, one for each agent."""
        hierarchies = find_hierarchies()
        open_files.raise_own()
        return cls(hierarchies, await probe_levels(hierarchies, group), group)

    def levels(self) -> Mapping[Level, LevelSupport]:
        """Return what the probes found."""
        return self._levels

    def known(self) -> tuple[InstanceId, ...]:
        """Return the instances it has been asked about and that were not destroyed."""
        return tuple(self._instances)

    def _of(self, instance: InstanceId) -> _Instance:
        if (known := self._instances.get(instance)) is None:
            known = self._instances[instance] = _Instance(
                Cgroup(self._hierarchies, f"{self.group}/{instance}")
            )
        return known

    async def start(self, plan: LaunchPlan) -> ProcessStamp:
        """Start the command; one that runs already is left alone.

        Raises:
            BadRequestError: the instance's user cannot start it, with what to do.
            HostError: the machine cannot.
        """
        known = self._of(plan.id)
        if (running := self._find(known, None)) is not None:
            return self._adopt(plan.id, known, running).stamp
        await known.cgroup.remove()
        order = order_for(plan, known.cgroup.directories)
        known.cgroup.make()
        try:
            watch = await launch(order)
        except BaseException:
            with contextlib.suppress(HostError):
                await known.cgroup.remove()
            raise
        self._watch(plan.id, known, watch)
        known.cgroup.open()
        self._logs.watch(plan.id, log_of(plan.data_directory))
        return watch.stamp

    def _find(self, known: _Instance, stamp: ProcessStamp | None) -> ProcessStamp | None:
        members = known.cgroup.processes()
        if stamp is not None and stamp.pid in members and is_running(stamp):
            return stamp
        return next(
            (found for pid in members if is_first_of_its_namespace(pid) and (found := stamp_of(pid))), None
        )

    def _adopt(self, instance: InstanceId, known: _Instance, stamp: ProcessStamp) -> ExitWatch:
        if known.watch is None or known.watch.stamp != stamp:
            self._watch(instance, known, ExitWatch(stamp))
        assert known.watch is not None
        return known.watch

    def _watch(self, instance: InstanceId, known: _Instance, watch: ExitWatch) -> None:
        if known.watch is not None:
            known.watch.close()
        known.watch = watch
        watch.on_end(lambda status: self._ended(instance, status))

    def _ended(self, instance: InstanceId, status: int | None) -> None:
        self._logs.forget(instance)
        known = self._of(instance)
        for listener in tuple(known.listeners):
            try:
                listener(status)
            except Exception:
                log.exception("a listener for the end of an instance failed", instance=instance)

    async def freeze(self, instance: InstanceId) -> None:
        """Stop every process; returns when the kernel says that all stand still. Raises HostError."""
        known = self._of(instance)
        if not known.cgroup.processes():
            raise InvalidStateError(f"instance {instance} does not run, so it cannot be frozen")
        await known.cgroup.freeze()
        self._logs.rest(instance)

    def thaw(self, instance: InstanceId) -> None:
        """Let it run again: one write to an open file."""
        self._of(instance).cgroup.thaw()
        self._logs.resume(instance)

    async def reclaim(self, instance: InstanceId) -> int:
        """Give memory of the frozen instance back; return the bytes. Raises HostError, without swap too."""
        known = self._of(instance)
        if not known.cgroup.is_frozen():
            raise InvalidStateError(f"instance {instance} is not frozen: memory would come back at once")
        if not swap_free():
            raise UnsupportedError(NO_SWAP)
        return await asyncio.to_thread(known.cgroup.reclaim)

    async def stop(self, instance: InstanceId, grace: float) -> int | None:
        """Ask it to end by SIGTERM, after `grace` seconds kill it; one that does not run is fine."""
        known = self._of(instance)
        stamp = self._find(known, known.watch.stamp if known.watch else None)
        status = known.watch.status if known.watch else None
        if stamp is not None:
            with contextlib.suppress(ProcessLookupError):
                status = await self._end(known, self._adopt(instance, known, stamp), grace)
        await known.cgroup.remove()
        self._logs.forget(instance)
        return status

    async def _end(self, known: _Instance, watch: ExitWatch, grace: float) -> int | None:
        known.cgroup.thaw()
        watch.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await watch.ended.wait()
        except TimeoutError:
            known.cgroup.kill()
            try:
                async with asyncio.timeout(KILL_DEADLINE):
                    await watch.ended.wait()
            except TimeoutError:
                raise HostError(
                    f"process {watch.stamp.pid} was killed and does not end within {KILL_DEADLINE:g} s: "
                    "it hangs in the kernel (a dead file system?)"
                ) from None
        return watch.status

    async def destroy(self, instance: InstanceId) -> None:
        """Kill it and remove its cgroups; its mounts go with its last process."""
        known = self._of(instance)
        await self.stop(instance, 0)
        if known.watch is not None:
            known.watch.close()
        self._instances.pop(instance, None)

    async def inspect(self, instance: InstanceId, process: ProcessStamp | None) -> Found:
        """Look at what exists; a live process is adopted, also when `process` is not known."""
        known = self._of(instance)
        stamp = self._find(known, process)
        if stamp is not None:
            try:
                self._adopt(instance, known, stamp)
            except ProcessLookupError:
                stamp = None
            known.cgroup.open()
        # told to is enough: what an agent that died left half frozen has to be thawed, too
        return Found(stamp, known.cgroup.is_told_to_freeze(), known.cgroup.memory_bytes())

    def keep_log(self, instance: InstanceId, data_directory: Path) -> None:
        """Bound the log of an adopted instance; `start` does it for what it starts."""
        self._logs.watch(instance, log_of(data_directory))

    def on_exit(self, instance: InstanceId, callback: Callable[[int | None], None]) -> Callable[[], None]:
        """Call back with the exit status (negative: a signal; None: not known) when it has ended."""
        listeners = self._of(instance).listeners
        listeners.append(callback)

        def stop() -> None:
            with contextlib.suppress(ValueError):
                listeners.remove(callback)

        return stop

    async def show_gate(self, instance: InstanceId, gate_file: Path) -> None:
        """Put the gate file in place again, after its server was started anew. Raises HostError."""
        stamp = self._find(self._of(instance), None)
        if stamp is not None:
            await show_gate(stamp.pid, gate_file)

    def close(self) -> None:
        """Let go of everything; instances stay as they are."""
        for known in self._instances.values():
            if known.watch is not None:
                known.watch.close()
            known.cgroup.close()
        self._instances.clear()
        self._logs.close()

    async def teardown(self) -> None:
        """Remove the group above the instances, which must be gone (`catnap host down`)."""
        remove_group(self._hierarchies, self.group)
