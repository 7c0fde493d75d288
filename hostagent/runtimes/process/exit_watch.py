"""Learning that a process has ended, from a descriptor of it (pidfd), child of ours or not."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from hostagent.instances.model import ProcessStamp
from hostagent.runtimes.process.kernel import exit_status_of
from hostagent.runtimes.process.stamp import is_running


class ExitWatch:
    """Watches one process until it has ended."""

    def __init__(self, stamp: ProcessStamp) -> None:
        self.stamp = stamp
        self.ended = asyncio.Event()
        self.status: int | None = None
        """As `waitstatus_to_exitcode` gives it (negative for a signal); None when it cannot be known."""
        self._on_end: Callable[[int | None], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._pidfd: int | None = os.pidfd_open(stamp.pid)
        if not is_running(stamp):  # the number went to another between looking and opening
            self.close()
            raise ProcessLookupError(f"process {stamp.pid} is not the one it was")
        self._loop.add_reader(self._pidfd, self._end)

    def on_end(self, callback: Callable[[int | None], None]) -> None:
        """Call back on the loop with the status, also when it has ended already."""
        self._on_end = callback
        if self.ended.is_set():
            self._loop.call_soon(callback, self.status)

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        """Watch no longer."""
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _end(self) -> None:
        if self._pidfd is None:
            return
        self.status = _status(self._pidfd)
        self.close()
        self.ended.set()
        if self._on_end is not None:
            self._on_end(self.status)


def _status(pidfd: int) -> int | None:
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:  # started by an agent before us
        wait_status = exit_status_of(pidfd)
        return None if wait_status is None else os.waitstatus_to_exitcode(wait_status)
    if result is None:
        return None
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
