"""Programs that are started on the display beside the browser, and ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from streamserver.desktop.account import Account
from streamserver.desktop.errors import DesktopError
from streamserver.desktop.process import ChildProcess, base_environment, session_members
from streamserver.logs import get_logger

MOST = 8
"""Programs that run at once, with all that they started; memory and patience are limited."""
GRACE = 2.0
"""Seconds that a program gets to end after it was asked to."""

log = get_logger("desktop")


class Programs:
    """What others have started here. A program counts until it and everything it started have ended.

    Attributes:
        running: those that ran when the last one was started.
    """

    def __init__(self, account: Account, directory: Path) -> None:
        """Take who runs them, and the run directory."""
        self._account = account
        self._directory = directory
        self.running: list[ChildProcess] = []
        self._lock = asyncio.Lock()

    async def run(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a program (no shell) with these variables besides the usual ones.

        Raises:
            DesktopError: there is no such program, or as many run as may.
        """
        async with self._lock:
            self.running = [child for child in self.running if await _is_alive(child)]
            if len(self.running) >= MOST:
                raise DesktopError(
                    f"{MOST} programs run on the shared screen already; close one of them first"
                )
            child = await ChildProcess.start(
                Path(command[0]).name,
                command,
                account=self._account,
                environment={**base_environment(self._account, self._directory), **environment},
                directory=self._account.home,
            )
            self.running.append(child)
        log.info("program started", program=child.name, pid=child.pid, user=self._account.name)

    async def stop(self) -> None:
        """End them all."""
        async with self._lock:
            await asyncio.gather(*(child.stop(GRACE) for child in self.running))
            self.running.clear()


async def _is_alive(child: ChildProcess) -> bool:
    return child.returncode is None or bool(await asyncio.to_thread(session_members, child.pid))
