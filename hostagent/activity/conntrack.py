"""The kernel's connection table, as far as it concerns instances: what `contract.FlowTable` promises.

A rule marks flows to instances (`hostagent.network.rules`); the kernel itself keeps the others from us, in
events by a filter on our socket and in dumps by the request. Nobody else who reads the table notices us.
"""

import asyncio
import errno
import threading
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter

from hostagent.activity.contract import Address, Flow, FlowEvent
from hostagent.logs import get_logger
from hostagent.netlink import conntrack
from hostagent.netlink.conntrack import Entry
from hostagent.netlink.message import Subsystem, messages
from hostagent.netlink.socket import NetfilterSocket

log = get_logger("conntrack")

_EVENT_BUFFER = 4 << 20
"""Bytes of events that wait while the loop is busy: some 10,000."""
_DUMP_BUFFER = 1 << 20
_BATCH = 256
"""Events read before others on the loop have their turn."""
_TCP, _UDP = 6, 17
_DESTROYED = Subsystem.CONNTRACK << 8 | conntrack.Command.DELETE
_ATTEMPTS = 3
"""How often a dump is begun again when the table changed underneath."""


class ConntrackTable:
    """Reads connection tracking in the network namespace of the thread that makes it."""

    def __init__(self, mark: int, registry: CollectorRegistry) -> None:
        """See flows that have all bits of `mark`; raises OSError where netfilter cannot be asked."""
        self._mark = mark
        self._dump = NetfilterSocket(_DUMP_BUFFER)
        self._dump_lock = threading.Lock()
        self._events: NetfilterSocket | None = None
        self._on_event: Callable[[FlowEvent], None] | None = None
        self._on_lost: Callable[[Exception | None], None] | None = None
        self._overruns = Counter(
            "catnap_host_conntrack_overruns",
            "Times the kernel dropped events of connections because they were not read in time",
            registry=registry,
        )

    async def start(
        self, on_event: Callable[[FlowEvent], None], on_lost: Callable[[Exception | None], None]
    ) -> None:
        """Begin to tell events on the loop; `on_lost` when some may be missing (None) or the stream broke.

        After it broke it is to be started again. Raises OSError when the kernel refuses.
        """
        await self.stop()
        sock = NetfilterSocket(_EVENT_BUFFER)
        try:
            sock.attach_filter(conntrack.only_marked(self._mark))
            sock.join(conntrack.Group.NEW, conntrack.Group.UPDATE, conntrack.Group.DESTROY)
        except OSError:
            sock.close()
            raise
        self._events, self._on_event, self._on_lost = sock, on_event, on_lost
        asyncio.get_running_loop().add_reader(sock.fileno(), self._read)

    async def stop(self) -> None:
        """Tell no more; the table can still be read."""
        if self._events is not None:
            asyncio.get_running_loop().remove_reader(self._events.fileno())
            self._events.close()
            self._events = None

    def close(self) -> None:
        """Close what `flows` reads with."""
        self._dump.close()

    def flows(self, instance: tuple[Address, ...] | None = None) -> list[Flow]:
        """Read the table now, of one instance's addresses or of all; raises OSError when it cannot.

        May be called in any thread. The kernel walks the whole table (0.5 ms for 1,000 entries, others'
        too), so one call for all is cheaper than one for each.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._dump_lock:
                    return self._flows(instance)
            except InterruptedError:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _flows(self, instance: tuple[Address, ...] | None) -> list[Flow]:
        if instance is None:
            return [flow for entry in conntrack.marked(self._dump, self._mark) if (flow := _flow(entry))]
        return [
            flow
            for address in instance
            for entry in conntrack.marked(self._dump, self._mark, answerer=address)
            if (flow := _flow(entry))
        ]

    def _read(self) -> None:
        """Tell what has come."""
        for _ in range(_BATCH):
            sock = self._events
            if sock is None:
                return
            try:
                data = sock.receive()
            except OSError as error:
                self._failed(error)
                return
            if data is None:
                return
            for message in messages(data):
                entry = conntrack.parse(data, message.start, message.end)
                if entry is not None and (flow := _flow(entry)):
                    self._tell(FlowEvent("destroy" if message.kind == _DESTROYED else "new", flow))

    def _tell(self, event: FlowEvent) -> None:
        if self._on_event is not None:
            self._on_event(event)

    def _failed(self, error: OSError) -> None:
        if error.errno == errno.ENOBUFS:
            self._overruns.inc()
            lost: Exception | None = None
        else:
            log.warning("the stream of connection events broke", error=str(error))
            lost = error
            if self._events is not None:
                asyncio.get_running_loop().remove_reader(self._events.fileno())
                self._events.close()
                self._events = None
        if self._on_lost is not None:
            self._on_lost(lost)


def _flow(entry: Entry) -> Flow | None:
    """Return what the decision needs; None for what is no connection (ICMP wakes, but is no use)."""
    if entry.protocol not in (_TCP, _UDP):
        return None
    return Flow(
        "tcp" if entry.protocol == _TCP else "udp",
        conntrack.address(entry.source),
        entry.source_port,
        conntrack.address(entry.destination),
        entry.destination_port,
        conntrack.address(entry.reply_source),
        entry.reply_source_port,
        entry.tcp_state,
        entry.packets,
    )
