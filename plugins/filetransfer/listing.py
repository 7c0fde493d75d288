"""The list of files that everybody is shown: read when something changed or somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from plugins.filetransfer.directory import SharedDirectory
from plugins.filetransfer.messages import Entry
from plugins.filetransfer.watching import DirectoryWatch
from streamserver.logs import get_logger
from streamserver.sessions.model import Session, SessionId

log = get_logger("filetransfer")

SETTLE = 0.2
"""Seconds between two readings, so that a thousand changes are not a thousand lists."""


class Listing:
    """Keeps the list. All of it on the event loop; the directory itself is read in a thread."""

    def __init__(
        self,
        directory: SharedDirectory,
        tell_all: Callable[[], None],
        tell: Callable[[Session], None],
    ) -> None:
        """`tell_all` when the list is another one; `tell` who asked, when it is not."""
        self.files: Sequence[Entry] = ()
        self._directory = directory
        self._tell_all = tell_all
        self._tell = tell
        self._watch = DirectoryWatch(directory.path, self.changed)
        self._asking: dict[SessionId, Session] = {}
        self._again = False
        self._reading: asyncio.Task[None] | None = None
        self._problem = ""

    async def start(self) -> None:
        """Read the list for the first time, and watch from then on."""
        self._watch.ensure()
        self.files = await asyncio.to_thread(self._read)

    async def stop(self) -> None:
        """Read and watch no more."""
        self._watch.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    def changed(self) -> None:
        """Something is different, or may be: read the list again soon."""
        self._again = True
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_again(), name="filetransfer listing")

    def ask(self, session: Session) -> None:
        """Somebody wants to be told, even when nothing is different."""
        self._asking[session.id] = session
        self.changed()

    async def _read_again(self) -> None:
        while self._again:
            self._again = False
            asking, self._asking = self._asking, {}
            self._watch.ensure()
            files = await asyncio.to_thread(self._read)
            if files != self.files:
                self.files = files
                self._tell_all()
            else:
                for session in asking.values():
                    self._tell(session)
            await asyncio.sleep(SETTLE)

    def _read(self) -> Sequence[Entry]:
        try:
            files = self._directory.list()
        except OSError as error:
            if str(error) != self._problem:
                log.warning("directory cannot be read", dir=str(self._directory.path), reason=str(error))
            self._problem = str(error)
            return ()
        self._problem = ""
        return files
