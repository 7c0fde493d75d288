"""Keeps one program running: starts it again, with back-off, whenever it ends."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable

from streamserver.desktop.backoff import Backoff
from streamserver.desktop.errors import DesktopError
from streamserver.desktop.process import ChildProcess
from streamserver.logs import get_logger

log = get_logger("desktop")

Start = Callable[[], Awaitable[ChildProcess]]


def describe_exit(code: int) -> dict[str, object]:
    """Return the log fields that say how a program ended: exit code, or the name of the signal."""
    if code >= 0:
        return {"exit_code": code}
    with contextlib.suppress(ValueError):
        return {"signal": signal.Signals(-code).name}
    return {"signal": -code}


class Supervisor:
    """Runs a program until `stop`; each of its ends is logged once and followed by a new start."""

    def __init__(
        self,
        name: str,
        start: Start,
        *,
        backoff: Backoff | None = None,
        on_start: Callable[[ChildProcess], object] = lambda child: None,
        on_end: Callable[[int | None, float], object] = lambda code, delay: None,
        stop_grace: float = 5.0,
    ) -> None:
        """Take what starts it, and whom to tell.

        `on_end` gets the exit code (None: it could not be started) and the seconds until the next start.
        """
        self._name = name
        self._start = start
        self._backoff = backoff or Backoff()
        self._on_start = on_start
        self._on_end = on_end
        self._stop_grace = stop_grace
        self._child: ChildProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._starting: asyncio.Future[ChildProcess] | None = None

    @property
    def child(self) -> ChildProcess | None:
        """The running program, None between two."""
        return self._child

    async def start(self) -> None:
        """Start the program and keep it running from now on.

        Raises:
            DesktopError: the first start failed; nothing is supervised then.
        """
        self._child = await self._begin()
        self._task = asyncio.create_task(self._run(self._child), name=f"supervisor of {self._name}")

    async def stop(self) -> None:
        """End the program and do not start it again."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._starting is not None:
            with contextlib.suppress(DesktopError):
                self._child = await self._starting
            self._starting = None
        if self._child is not None:
            await self._child.stop(self._stop_grace)
            self._child = None

    async def _run(self, first: ChildProcess) -> None:
        child: ChildProcess | None = first
        while True:
            code, ran_for = None, 0.0
            if child is not None:
                code, ran_for = await self._watch(child)
            delay = self._backoff.after_run(ran_for)
            self._on_end(code, delay)
            await asyncio.sleep(delay)
            try:
                child = await self._begin()
            except DesktopError as error:
                log.error("cannot start", program=self._name, error=str(error))
                child = None

    async def _begin(self) -> ChildProcess:
        """Start it; a start that is cancelled half-way stays in `_starting`, so that `stop` can end it."""
        self._starting = asyncio.ensure_future(self._start())
        try:
            child = await asyncio.shield(self._starting)
        except DesktopError:
            self._starting = None
            raise
        self._starting = None
        return child

    async def _watch(self, child: ChildProcess) -> tuple[int, float]:
        self._child = child
        self._on_start(child)
        started = time.monotonic()
        code = await child.wait()
        ran_for = time.monotonic() - started
        self._child = None
        await child.stop()  # what it left behind
        return code, ran_for
