"""Reading a selection that another program owns (ICCCM 2.0, chapter 2)."""

import asyncio

import xcffib
import xcffib.xproto

from streamserver.desktop.x_client import NO_ATOM, XClient

ANSWER_TIMEOUT = 2.0
"""Seconds the owner has for each step."""
_READ_SIZE = 64 * 1024
"""Bytes read in one go; the library makes an object of each."""
_PATIENCE = 4
"""Times the limit that is taken from an owner before we break off."""


class TooLarge(Exception):  # noqa: N818 - it says what the selection is
    """The selection is larger than the reader takes."""


class SelectionReader:
    """Reads one selection, one target at a time."""

    def __init__(self, client: XClient, selection: str) -> None:
        """Take the client to whose window the owner delivers."""
        self._client = client
        self._selection = client.atom(selection)
        self._counter = 0
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[int] | None = None
        self._arrived = asyncio.Event()
        self._property = NO_ATOM
        client.listen(self._handle)

    async def read(self, target: str, limit: int) -> bytes | None:
        """Return what the owner has as `target`; None: nobody owns it, or has it as that.

        Raises:
            TooLarge: it is more than `limit` bytes.
            TimeoutError: the owner does not answer.
            xcffib.XcffibException: the connection broke.
        """
        async with self._turn:
            client = self._client
            # another property each time: a late answer to an earlier question must not be taken for this one
            self._counter += 1
            self._property = client.atom(f"CATNAP_SELECTION_{self._counter % 16}")
            client.core.DeleteProperty(client.window, self._property)
            self._answer = asyncio.get_running_loop().create_future()
            client.core.ConvertSelection(
                client.window, self._selection, client.atom(target), self._property, 0
            )
            client.flush()
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    name = await self._answer
                if name == NO_ATOM:
                    return None
                return await self._fetch(limit)
            finally:
                self._answer = None
                client.core.DeleteProperty(client.window, self._property)
                client.flush()

    async def _fetch(self, limit: int) -> bytes:
        client = self._client
        first = client.core.GetProperty(
            False, client.window, self._property, xcffib.xproto.Atom.Any, 0, 0
        ).reply()
        if first.type == client.atom("INCR"):
            return await self._fetch_pieces(limit)
        if first.bytes_after > limit:
            raise TooLarge(f"it has {first.bytes_after} bytes; {limit} are possible")
        content = await self._take()
        client.core.DeleteProperty(client.window, self._property)
        return content

    async def _take(self) -> bytes:
        """Read the whole property, giving others their turn in between."""
        client = self._client
        content = bytearray()
        while True:
            reply = client.core.GetProperty(
                False, client.window, self._property, xcffib.xproto.Atom.Any,
                len(content) // 4, _READ_SIZE // 4,
            ).reply()  # fmt: skip
            content += reply.value.raw
            if not reply.bytes_after:
                return bytes(content)
            await asyncio.sleep(0)

    async def _fetch_pieces(self, limit: int) -> bytes:
        client = self._client
        content = bytearray()
        size = 0
        while True:
            self._arrived.clear()
            client.core.DeleteProperty(client.window, self._property)
            client.flush()
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await self._arrived.wait()
            piece = await self._take()
            size += len(piece)
            # the rest of one that is too large is taken, too: some owners wait for that before they go on
            if size > limit and (not piece or size > limit * _PATIENCE):
                raise TooLarge(f"it has more than {limit} bytes")
            if not piece:
                return bytes(content)
            if size <= limit:
                content += piece

    def _handle(self, event: xcffib.Event) -> None:
        if isinstance(event, xcffib.xproto.SelectionNotifyEvent):
            ours = event.selection == self._selection and event.property in (NO_ATOM, self._property)
            if ours and self._answer is not None and not self._answer.done():
                self._answer.set_result(event.property)
        elif isinstance(event, xcffib.xproto.PropertyNotifyEvent):
            new = event.state == xcffib.xproto.Property.NewValue
            if new and event.window == self._client.window and event.atom == self._property:
                self._arrived.set()
