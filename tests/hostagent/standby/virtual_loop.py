"""An event loop whose time passes only when a test says so.

It is asyncio's own loop with another clock, so that what runs on it is what runs in the agent, in the same
order every time.
"""

import asyncio


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs callbacks and timers; `advance` moves its clock.

    Between its runs it counts as the loop that runs, so that a test may call what is only called on a loop.
    """

    _ready: list[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._virtual = 1000.0
        self.faults: list[dict[str, object]] = []
        self.set_exception_handler(lambda _, context: self.faults.append(context))
        asyncio._set_running_loop(self)

    def time(self) -> float:
        """Return virtual seconds."""
        return self._virtual

    def _check_running(self) -> None:
        assert not self.is_running()

    def run_forever(self) -> None:
        """Run as usual."""
        try:
            super().run_forever()
        finally:
            asyncio._set_running_loop(self)

    def close(self) -> None:
        """Close as usual."""
        asyncio._set_running_loop(None)
        super().close()

    def settle(self) -> None:
        """Run everything that can run now."""
        while True:
            self.call_soon(self.stop)
            self.run_forever()
            due = self._next()
            if not self._ready and (due is None or due > self._virtual):
                break
        assert not self.faults, self.faults

    def advance(self, seconds: float) -> None:
        """Let time pass; every timer rings when it should."""
        target = self._virtual + seconds
        self.settle()
        while (due := self._next()) is not None and due <= target:
            self._virtual = max(self._virtual, due)
            self.settle()
        self._virtual = target
        self.settle()

    def stall(self, seconds: float) -> None:
        """Let time pass while nothing can run: timers ring late, all at once."""
        self._virtual += seconds
        self.settle()

    def _next(self) -> float | None:
        return min((handle.when() for handle in self._scheduled if not handle.cancelled()), default=None)
