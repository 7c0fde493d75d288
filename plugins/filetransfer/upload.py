"""Receiving files: the request's body goes to the disk as it comes, never to memory as a whole."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from typing import ParamSpec

from plugins.filetransfer import names
from plugins.filetransfer.directory import Incoming, SharedDirectory
from plugins.filetransfer.form import BadForm, Begin, Data, End, Event, UploadForm

P = ParamSpec("P")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TooLarge(Exception):  # noqa: N818 (it says what the upload is)
    """The body is larger than `filetransfer.max_upload`."""


class NoSpace(Exception):  # noqa: N818 (it says what there is)
    """The disk is full."""


class Upload:
    """One request's files. Those that are complete stay, also when a later one fails."""

    def __init__(self, directory: SharedDirectory, largest: int) -> None:
        """`largest` in bytes, of the whole body."""
        self._directory = directory
        self._largest = largest
        self._incoming: Incoming | None = None
        self.received: list[str] = []
        """Names of the files that are complete."""

    async def receive(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        """Take the whole body.

        Raises:
            BadForm: it is no form, has no files, or breaks off.
            BadName: a file's name is not possible.
            TooLarge, NoSpace: as they say.
            OSError: the directory cannot be written.
        """
        form = UploadForm(content_type)
        size = 0
        try:
            async for content in body:
                size += len(content)
                if size > self._largest:
                    raise TooLarge
                for event in form.feed(content):
                    await self._take(event)
            form.finish()
        except OSError as error:
            if error.errno in FULL:
                raise NoSpace from error
            raise
        finally:
            if self._incoming is not None:
                # also when the client is gone and this task is cancelled: nothing half stays
                self._incoming.abandon()
        if not self.received:
            raise BadForm("the form has no files")

    async def _take(self, event: Event) -> None:
        match event:
            case Begin(filename):
                await _undisturbed(self._begin, names.new(filename))
            case Data(content):
                assert self._incoming is not None
                await _undisturbed(self._incoming.write, content)
            case End():
                await _undisturbed(self._end)

    def _begin(self, name: str) -> None:
        self._incoming = self._directory.receive(name)

    def _end(self) -> None:
        assert self._incoming is not None
        self._incoming.finish()
        self.received.append(self._incoming.name)
        self._incoming = None


async def _undisturbed(work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Work in a thread; a cancellation waits for it, so that nothing is closed under its hands."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise
