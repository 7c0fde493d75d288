"""Writes stamps down in order and makes nobody wait: the newest of each wins, one write at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from hostagent.errors import HostError
from hostagent.instances.model import InstanceId
from hostagent.standby.ports import IdleStamps

RETRY_DELAY = 2.0
"""Seconds after a failed write until the next try."""

CLOSE_DEADLINE = 5.0
"""Seconds the last write may take when the agent stops."""


class StampWriter:
    """A dictionary of what is not written yet, and one task while it is not empty."""

    def __init__(
        self,
        write: Callable[[Mapping[InstanceId, IdleStamps]], Awaitable[None]],
        failed: Callable[[Exception], None],
    ) -> None:
        self._write = write
        self._failed = failed
        self._pending: dict[InstanceId, IdleStamps] = {}
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    def put(self, instance: InstanceId, stamps: IdleStamps) -> None:
        """Write this as soon as the write under way is over."""
        self._pending[instance] = stamps
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="standby stamps")

    def drop(self, instance: InstanceId) -> None:
        """Forget an instance that is gone."""
        self._pending.pop(instance, None)

    async def close(self) -> None:
        """Write what is left, within `CLOSE_DEADLINE`; what fails now stays unwritten."""
        self._hurry.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSE_DEADLINE)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._pending:
            last_try = self._hurry.is_set()
            batch, self._pending = self._pending, {}
            try:
                await self._write(batch)
            except (HostError, OSError) as error:
                self._failed(error)
                if last_try:
                    return
                self._pending = batch | self._pending
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(RETRY_DELAY):
                await self._hurry.wait()
        except TimeoutError:
            return
