"""What is captured once for several streams. Lives on the event loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .worker import FIRST_RETRY, Engine, Outlet, Worker


class Source:
    """An engine and the streams that come out of it: its thread runs while somebody wants any of them.

    `broke` is called, in the thread, each time the engine fails.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        outlets: Sequence[Outlet],
        *,
        broke: Callable[[], None] = lambda: None,
        first_retry: float = FIRST_RETRY,
    ) -> None:
        self._name = name
        self._engine = engine
        self._outlets = tuple(outlets)
        self._broke = broke
        self._first_retry = first_retry
        self._worker: Worker | None = None
        self._workers: set[Worker] = set()
        self._closed = False

    @property
    def is_capturing(self) -> bool:
        """Whether its thread runs."""
        return self._worker is not None

    def update(self) -> None:
        """Look at what is wanted of the outlets: begin, end, or let the engine look too."""
        wanted = any(outlet.wanted for outlet in self._outlets) and not self._closed
        if wanted and self._worker is None:
            self._workers = {worker for worker in self._workers if not worker.has_ended}
            self._worker = Worker(self._name, self._engine, broke=self._broke, first_retry=self._first_retry)
            self._workers.add(self._worker)
        elif self._worker is not None and wanted:
            self._worker.notify()
        elif self._worker is not None:
            self._worker.stop()
            self._worker = None

    async def close(self) -> None:
        """End it and wait until the thread has ended. Safe to call again."""
        self._closed = True
        self.update()
        for worker in tuple(self._workers):
            await worker.ended()
