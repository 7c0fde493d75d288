"""Keeps the stream of connection events open; what was missed is read before it counts as open again."""

import asyncio
from collections.abc import Callable

from hostagent.activity.contract import FlowEvent, FlowTable
from hostagent.errors import HostError


class Observer:
    """The stream of a flow table, opened again after it broke."""

    def __init__(
        self,
        flows: FlowTable,
        *,
        event: Callable[[FlowEvent], None],
        gap: Callable[[], None],
        resync: Callable[[], bool],
        failed: Callable[[str, Exception | None], None],
        reconnect_delay: float,
    ) -> None:
        """Args:
        flows: the table.
        event: gets each event.
        gap: some events may be missing, while the stream goes on.
        resync: reads everything anew; False when it could not.
        failed: gets an operation (`connect`, `stream`, `stream_closed`, `reconnect`) and what happened.
        reconnect_delay: seconds between two tries.
        """
        self._flows = flows
        self._event = event
        self._gap = gap
        self._resync = resync
        self._failed = failed
        self._delay = reconnect_delay
        self._reopening: asyncio.Task[None] | None = None
        self._open = False
        self._breaks = 0
        self.error: str | None = None
        """Why the stream is down; None while it is up."""

    async def start(self) -> None:
        """Open the stream, or go on trying in the background."""
        self._open = True
        if not await self._connect("connect"):
            self._reopen()

    async def stop(self) -> None:
        """Close it for good."""
        self._open = False
        if self._reopening is not None:
            self._reopening.cancel()
            await asyncio.gather(self._reopening, return_exceptions=True)
        try:
            await self._flows.stop()
        except (OSError, HostError) as error:
            self._failed("stream", error)

    async def _connect(self, operation: str) -> bool:
        try:
            await self._flows.start(self._event, self._lost)
        except (OSError, HostError) as error:
            self.error = str(error) or type(error).__name__
            self._failed(operation, error)
            return False
        return True

    def _lost(self, error: Exception | None) -> None:
        if not self._open:
            return
        if error is None:
            self._gap()
            return
        self._breaks += 1
        self.error = str(error) or type(error).__name__
        self._failed("stream_closed" if isinstance(error, EOFError) else "stream", error)
        self._reopen()

    def _reopen(self) -> None:
        if self._reopening is None or self._reopening.done():
            self._reopening = asyncio.get_running_loop().create_task(
                self._until_open(), name="conntrack again"
            )

    async def _until_open(self) -> None:
        while True:
            await asyncio.sleep(self._delay)
            try:
                await self._flows.stop()
            except (OSError, HostError) as error:
                self._failed("reconnect", error)
            breaks = self._breaks
            if await self._connect("reconnect") and self._resync() and self._breaks == breaks:
                self.error = None
                return
