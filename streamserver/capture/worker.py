"""The thread that captures one source while somebody listens to any of its streams."""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
from collections.abc import Callable

from streamserver.logs import get_logger

from .frames import EncodedFrame

log = get_logger("capture")

BACKLOG_LIMIT = 8
"""Frames on their way to the event loop at most; a loop that is behind gets fewer frames, not later ones."""

FIRST_RETRY = 0.25
"""Seconds before a capture that broke is tried again; doubles with each failure in a row."""

LAST_RETRY = 5.0
"""Seconds between two attempts at most."""

Engine = Callable[["Worker"], None]
"""Captures and encodes in the worker's thread until `worker.stopping`; raises when its source breaks."""


class Outlet:
    """Where the frames of one stream leave its engine.

    Attributes:
        deliver: called on the event loop for every frame.
        wanted: whether anybody listens; an engine encodes nothing for an outlet that nobody wants.
        keyframe_requests: how often a key frame was asked for so far.
        bitrate: what the stream may use, bit/s.
    """

    def __init__(self, bitrate: int = 0) -> None:
        self.deliver: Callable[[EncodedFrame], None] = _nowhere
        self.wanted = False
        self.keyframe_requests = 0
        self.bitrate = bitrate


def _nowhere(_frame: EncodedFrame) -> None:
    """Take the frames of an outlet that no stream has yet."""


class Worker:
    """Runs an engine in a thread of its own, again after a while when it breaks, until it is stopped.

    The descriptor of `fileno` becomes readable when the engine should look at `stopping`, at its outlets and
    at `has_room`; it calls `acknowledge` first.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        *,
        broke: Callable[[], None],
        first_retry: float = FIRST_RETRY,
    ) -> None:
        self.name = name
        self.stopping = False
        self._engine = engine
        self._broke = broke
        self._first_retry = first_retry
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._emitted = 0
        self._delivered = 0
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"capture-{name}", daemon=True)
        self._thread.start()

    # On the event loop

    def stop(self) -> None:
        """Deliver nothing more and let the thread end. Safe to call again."""
        self.stopping = True
        self.notify()

    @property
    def has_ended(self) -> bool:
        """Whether the thread has given up its source."""
        return self._ended.is_set()

    async def ended(self) -> None:
        """Wait until the thread has given up its source."""
        await self._ended.wait()
        self._thread.join()  # it has nothing left to do but return

    def notify(self) -> None:
        """Let the engine look at its outlets."""
        if not self._ended.is_set():
            os.eventfd_write(self._wake, 1)

    def _arrived(self, outlet: Outlet, frame: EncodedFrame) -> None:
        was_full = not self.has_room
        self._delivered += 1
        if was_full:
            self.notify()
        if not self.stopping:
            outlet.deliver(frame)

    def _over(self) -> None:
        self._ended.set()
        os.close(self._wake)

    # In the thread

    @property
    def has_room(self) -> bool:
        """Whether the event loop keeps up; when it does not, engines skip pictures, not queue them."""
        return self.backlog < BACKLOG_LIMIT

    @property
    def backlog(self) -> int:
        """Frames on their way to the event loop."""
        return self._emitted - self._delivered

    def fileno(self) -> int:
        """Return the descriptor to wait on besides the source's own."""
        return self._wake

    def acknowledge(self) -> None:
        """Make the descriptor unreadable again."""
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return

    def emit(self, outlet: Outlet, frame: EncodedFrame) -> None:
        """Hand a frame to the event loop."""
        if self._failures:
            log.info("capture works again", stream=self.name, failures=self._failures)
            self._failures = 0
        self._emitted += 1
        self._loop.call_soon_threadsafe(self._arrived, outlet, frame)

    def _run(self) -> None:
        try:
            while not self.stopping and not self._loop.is_closed():
                try:
                    self._engine(self)
                except Exception as error:  # noqa: BLE001 - the listeners stay; it is tried again
                    if not self.stopping:
                        self._failed(error)
        finally:
            try:
                self._loop.call_soon_threadsafe(self._over)
            except RuntimeError:  # the loop was closed without waiting for us
                os.close(self._wake)

    def _failed(self, error: Exception) -> None:
        delay = min(self._first_retry * 2 ** min(self._failures, 16), LAST_RETRY)
        self._failures += 1
        self._broke()
        report = log.warning if self._failures == 1 else log.debug
        report(
            "capture broke, will be tried again",
            stream=self.name,
            error=str(error),
            cause=type(error).__name__,
        )
        deadline = time.monotonic() + delay
        while not self.stopping and (left := deadline - time.monotonic()) > 0:
            select.select([self._wake], [], [], left)
            self.acknowledge()
