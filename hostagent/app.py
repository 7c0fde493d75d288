"""The composition root: the only file that builds the parts, starts them, and stops them in reverse order."""

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from hostagent.activity.conntrack import ConntrackTable
from hostagent.activity.contract import GateReader
from hostagent.activity.leases import LeaseTable
from hostagent.api.app import build_api
from hostagent.api.context import ApiContext
from hostagent.api.server import ApiServer
from hostagent.clock import Clock, SystemClock
from hostagent.doctor.examination import examine
from hostagent.errors import HostError
from hostagent.gatefile.client import GateClient
from hostagent.instances.bookkeeping import GateFiles, Parts
from hostagent.instances.events import Event, EventLog, EventType
from hostagent.instances.faults import Faults, no_faults
from hostagent.instances.journal import SEQUENCE_BLOCK, Journal, JournalWriter
from hostagent.instances.lifecycle import Lifecycle
from hostagent.instances.model import InstanceId
from hostagent.instances.registry import Registry
from hostagent.instances.turnstile import Turnstile
from hostagent.instances.use import UseTeller
from hostagent.logs import get_logger, setup_logging
from hostagent.metrics import InstanceCollector, LifecycleMetrics
from hostagent.netlink import log as packet_log
from hostagent.network.addressing import Pool
from hostagent.network.host_network import HostNetwork
from hostagent.network.rules import LOG_GROUP, MARK, Trapping
from hostagent.runtimes.contract import Runtime
from hostagent.runtimes.process.runtime import ProcessRuntime
from hostagent.settings import HostSettings
from hostagent.spans import default_tracer, spans_to_file
from hostagent.standby.controller import StandbyController
from hostagent.standby.metrics import StandbyMetrics
from hostagent.wake.listener import Listener
from hostagent.wake.trap import PacketTrap

_log = get_logger("agent")
_RESERVE_AHEAD = 1000


class _NoGates:
    """Gates are switched off: instances see no file."""

    async def create(self, instance: InstanceId, *, reset: bool) -> Path | None:
        return None

    async def remove(self, instance: InstanceId) -> None:
        return None


class _Stoppable(Protocol):
    async def stop(self) -> None: ...


class HostAgent:
    """One agent. `start`, then `wait`, then `stop`; instances go on without it."""

    def __init__(
        self, settings: HostSettings, *, clock: Clock | None = None, faults: Faults = no_faults
    ) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        self._faults = faults
        self._cleanup = contextlib.AsyncExitStack()
        self._asked = asyncio.Event()
        self._down: bool | None = None
        """None: end and leave all as it is; else take all down, with True remove instances."""

    async def start(self) -> None:
        """Start everything in order; raises HostError, and then nothing of ours runs."""
        try:
            await self._start()
        except BaseException:
            await self._cleanup.aclose()
            raise

    async def _start(self) -> None:
        settings, clock = self.settings, self._clock
        self._lock()
        _refuse_another_agent()
        self.registry = _registry()
        writer = JournalWriter(await asyncio.to_thread(Journal, settings.journal))
        self._cleanup.callback(writer.close)
        self.events = await self._event_log(writer)
        self.runtime = await ProcessRuntime.open(settings.process.group)
        self._cleanup.callback(self.runtime.close)
        self.network = HostNetwork(
            Pool(
                settings.network.subnet4,
                settings.network.subnet6,
                settings.process.first_uid,
                settings.process.uids,
            ),
            settings.run_dir,
            Trapping(ignore_source_cidrs=settings.wake.ignore_source_cidrs, replies=settings.wake.on_replies),
        )
        await self.network.start()
        self._cleanup.push_async_callback(self.network.stop)
        self._gates, reader = await self._start_gates()
        trap = PacketTrap(
            self.network,
            clock,
            max_pending=settings.wake.max_pending,
            deadline=settings.wake.deadline,
            registry=self.registry,
        )
        self.lifecycle = Lifecycle(self._parts(writer, trap, {"process": self.runtime}))
        self.registry.register(InstanceCollector(self.lifecycle.count))
        await self.lifecycle.start()
        self._cleanup.push_async_callback(self.lifecycle.stop)
        await trap.settle()
        flows = ConntrackTable(MARK, self.registry)
        self._cleanup.callback(flows.close)
        self.controller = StandbyController(
            self.lifecycle,
            flows,
            reader,
            LeaseTable(cap=settings.standby.max_lease),
            clock,
            settings.standby,
            StandbyMetrics(self.registry),
        )
        self.controller.on_change(UseTeller(self.lifecycle.registry, self.events, clock).changed)
        await self.controller.start()
        self._cleanup.push_async_callback(self.controller.stop)
        self.server = ApiServer(build_api(self._context(writer.epoch)), settings.socket, settings.api)
        self._cleanup.push_async_callback(self.server.stop)
        await self.server.start()
        self.events.publish(clock.now(), EventType.AGENT_STARTED, epoch=writer.epoch)
        _log.info("the agent has started", epoch=writer.epoch, socket=str(settings.socket))

    def _lock(self) -> None:
        """Be the only agent of these directories; raises HostError."""
        for directory, mode in ((self.settings.run_dir, 0o711), (self.settings.data_dir, 0o711)):
            try:
                directory.mkdir(parents=True, exist_ok=True, mode=mode)
                descriptor = os.open(directory / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise HostError(
                    f"{directory} cannot be used: {error.strerror}; the agent needs root"
                ) from error
            self._cleanup.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise HostError(f"another agent runs with {directory}; end it, or set another one") from error

    async def _event_log(self, writer: JournalWriter) -> EventLog:
        first = await writer.reserve_sequences()
        log = EventLog(self.settings.api.events_kept, self.settings.api.event_queue, first)
        reserved = first + SEQUENCE_BLOCK
        tasks: set[asyncio.Task[int]] = set()

        def keep_ahead(event: Event) -> None:
            nonlocal reserved
            if event.sequence + _RESERVE_AHEAD >= reserved:
                reserved += SEQUENCE_BLOCK
                task = asyncio.ensure_future(writer.reserve_sequences())
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        log.listen(keep_ahead)
        return log

    async def _start_gates(self) -> tuple[GateFiles, GateReader | None]:
        if not self.settings.gate.enabled:
            return _NoGates(), None
        gates = GateClient(self.settings.run_dir / "gate", self.runtime.show_gate)
        self._cleanup.push_async_callback(gates.close)
        try:
            await gates.start()
        except HostError as error:
            raise HostError(f"{error}; or run without gate files: --gate.enabled=false") from error
        return gates, gates

    def _parts(self, writer: JournalWriter, trap: PacketTrap, runtimes: Mapping[str, Runtime]) -> Parts:
        return Parts(
            settings=self.settings,
            clock=self._clock,
            journal=writer,
            registry=Registry(),
            runtimes=runtimes,
            network=self.network,
            trap=trap,
            gates=self._gates,
            events=self.events,
            metrics=LifecycleMetrics(self.registry, self._clock),
            tracer=default_tracer(),
            turnstile=Turnstile(self.settings.wake.max_concurrent, self.settings.standby.max_concurrent),
            faults=self._faults,
        )

    def _context(self, epoch: int) -> ApiContext:
        return ApiContext(
            settings=self.settings,
            clock=self._clock,
            lifecycle=self.lifecycle,
            controller=self.controller,
            events=self.events,
            registry=self.registry,
            epoch=epoch,
            doctor=examine,
            down=self._begin_down,
        )

    def _begin_down(self, remove: bool) -> None:
        self._down = remove
        self._asked.set()

    async def wait(self) -> None:
        """Return when somebody asks the agent to end."""
        await self._asked.wait()

    def ask_to_end(self) -> None:
        """End, and leave instances as they are."""
        self._asked.set()

    async def stop(self) -> None:
        """Stop everything in the reverse order; what was asked to be taken down is taken down first."""
        reason = "" if self._down is None else "everything is taken down"
        self.events.publish(self._clock.now(), EventType.AGENT_STOPPING, reason=reason)
        try:
            if self._down is not None:
                await self._take_down(remove=self._down)
        finally:
            await self._cleanup.aclose()
        _log.info("the agent has ended")

    async def _take_down(self, *, remove: bool) -> None:
        """Have the host as it was before."""
        await self.controller.stop()
        await self.lifecycle.take_down(remove=remove)
        await self.network.teardown()
        if isinstance(self._gates, GateClient):
            await self._gates.shut_down()
        await self.runtime.teardown()


def _refuse_another_agent() -> None:
    """Raise HostError when this network namespace has an agent, before its rules are written over."""
    probe = Listener(lambda _: None, lambda: None)
    probe.start("log group", LOG_GROUP, packet_log.bind)
    probe.stop()


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def run_agent(settings: HostSettings) -> None:
    """Run an agent until SIGTERM, SIGINT or `down`; raises HostError when it cannot start."""
    setup_logging(settings.log, settings.data_dir)
    with contextlib.ExitStack() as stack:
        if settings.spans.file is not None:
            try:
                stack.enter_context(spans_to_file(settings.spans.file))
            except OSError as error:
                raise HostError(f"spans.file {settings.spans.file} cannot be written: {error}") from error
        asyncio.run(_run(HostAgent(settings)))


async def _run(agent: HostAgent) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.ask_to_end)
    await agent.start()
    try:
        await agent.wait()
    finally:
        await agent.stop()
