"""Offering a selection to other programs (ICCCM 2.0, chapter 2): the clipboard, or what is dragged."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import xcffib
import xcffib.xproto

from streamserver.desktop.x_client import CURRENT_TIME, NO_ATOM, XClient
from streamserver.logs import get_logger

PIECE = 64 * 1024
"""Bytes handed over at a time; what is larger goes in pieces (INCR)."""
MAX_TRANSFERS = 8
"""Transfers in pieces at a time; more are refused."""
TRANSFER_TIMEOUT = 5.0
"""Seconds a program has to take the next piece."""
_MULTIPLE_LIMIT = 64
"""Targets of one request that are looked at."""

log = get_logger("desktop")


@dataclass(slots=True)
class _Transfer:
    """What is left to hand over in pieces to one property of one window."""

    kind: int
    rest: memoryview
    timer: asyncio.TimerHandle


class SelectionOwner:
    """Owns one selection after `offer` until another program takes it.

    Attributes:
        contents: what is offered, by target name; empty when somebody else owns it.
        on_taken: called when another program took the selection.
    """

    def __init__(self, client: XClient, selection: str) -> None:
        """Take the client whose window owns it, and the selection's name."""
        self.contents: Mapping[str, bytes] = {}
        self.on_taken: Callable[[], object] = lambda: None
        self._client = client
        self._selection = client.atom(selection)
        self._time = CURRENT_TIME
        self._transfers: dict[tuple[int, int], _Transfer] = {}
        self._stamps: list[asyncio.Future[int]] = []
        client.listen(self._handle)

    async def offer(self, contents: Mapping[str, bytes]) -> None:
        """Become the owner, with this content by target name.

        Raises:
            xcffib.XcffibException: the connection broke.
        """
        self._time = await self._server_time()
        self.contents = contents
        for target in contents:
            self._client.atom(target)
        self._client.core.SetSelectionOwner(self._client.window, self._selection, self._time)
        self._client.flush()

    def close(self) -> None:
        """Hand nothing over any more."""
        for transfer in self._transfers.values():
            transfer.timer.cancel()
        self._transfers.clear()
        for stamp in self._stamps:
            stamp.cancel()
        self.contents = {}

    async def _server_time(self) -> int:
        """Return the server's time: owners say since when they are (ICCCM 2.1), and only events tell it."""
        stamp: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._stamps.append(stamp)
        client, name = self._client, self._client.atom("CATNAP_TIME")
        mode = xcffib.xproto.PropMode.Append
        client.core.ChangeProperty(mode, client.window, name, xcffib.xproto.Atom.STRING, 8, 0, b"")
        client.flush()
        async with asyncio.timeout(TRANSFER_TIMEOUT):
            return await stamp

    def _handle(self, event: xcffib.Event) -> None:
        if isinstance(event, xcffib.xproto.SelectionRequestEvent):
            if event.selection == self._selection:
                self._requested(event)
        elif isinstance(event, xcffib.xproto.SelectionClearEvent):
            if event.selection == self._selection:
                self.contents = {}
                self.on_taken()
        elif isinstance(event, xcffib.xproto.PropertyNotifyEvent):
            if event.window == self._client.window:
                for stamp in self._stamps:
                    if not stamp.done():
                        stamp.set_result(event.time)
                self._stamps.clear()
            elif event.state == xcffib.xproto.Property.Delete:
                self._continue(event.window, event.atom)

    def _requested(self, event: xcffib.xproto.SelectionRequestEvent) -> None:
        client = self._client
        name = event.property or event.target  # old programs name none (ICCCM 2.2)
        if event.target == client.atom("MULTIPLE"):
            given = bool(event.property) and self._give_several(event.requestor, name)
        else:
            given = self._give(event.requestor, event.target, name)
        answer = xcffib.xproto.SelectionNotifyEvent.synthetic(
            event.time, event.requestor, event.selection, event.target, name if given else NO_ATOM
        )
        client.core.SendEvent(False, event.requestor, 0, answer.pack())
        client.flush()

    def _give(self, requestor: int, target: int, name: int) -> bool:
        """Put what is asked for into the property; return whether we have it."""
        client = self._client
        if target == client.atom("TARGETS"):
            known = ("TARGETS", "TIMESTAMP", "MULTIPLE", *self.contents)
            atoms = b"".join(client.atom(item).to_bytes(4, "little") for item in known)
            client.put_property(requestor, name, xcffib.xproto.Atom.ATOM, 32, atoms)
            return True
        if target == client.atom("TIMESTAMP"):
            time = self._time.to_bytes(4, "little")
            client.put_property(requestor, name, xcffib.xproto.Atom.INTEGER, 32, time)
            return True
        for offered, content in self.contents.items():
            if target == client.atom(offered):
                return self._hand_over(requestor, name, target, content)
        return False

    def _give_several(self, requestor: int, name: int) -> bool:
        """Answer MULTIPLE: pairs of target and property, of which those we cannot give are struck out."""
        kind, raw = self._client.property_bytes(requestor, name, _MULTIPLE_LIMIT * 8, delete=False)
        if kind == NO_ATOM:
            return False
        numbers = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw) - 3, 4)]
        for at in range(0, len(numbers) - 1, 2):
            if not self._give(requestor, numbers[at], numbers[at + 1]):
                numbers[at + 1] = NO_ATOM
        answer = b"".join(number.to_bytes(4, "little") for number in numbers)
        self._client.put_property(requestor, name, kind, 32, answer)
        return True

    def _hand_over(self, requestor: int, name: int, kind: int, content: bytes) -> bool:
        client = self._client
        if len(content) <= PIECE:
            client.put_property(requestor, name, kind, 8, content)
            return True
        place = (requestor, name)
        if place in self._transfers or len(self._transfers) >= MAX_TRANSFERS or requestor == client.window:
            log.debug("too many programs read the selection at once", transfers=len(self._transfers))
            return False
        timer = asyncio.get_running_loop().call_later(TRANSFER_TIMEOUT, self._give_up, place)
        self._transfers[place] = _Transfer(kind, memoryview(content), timer)
        mask = xcffib.xproto.EventMask.PropertyChange
        client.core.ChangeWindowAttributes(requestor, xcffib.xproto.CW.EventMask, [mask])
        size = len(content).to_bytes(4, "little")
        client.put_property(requestor, name, client.atom("INCR"), 32, size)
        return True

    def _continue(self, requestor: int, name: int) -> None:
        """Hand over the next piece now that the last one was taken; an empty one says that it is all."""
        place = (requestor, name)
        transfer = self._transfers.get(place)
        if transfer is None:
            return
        piece, transfer.rest = bytes(transfer.rest[:PIECE]), transfer.rest[PIECE:]
        self._client.put_property(requestor, name, transfer.kind, 8, piece)
        transfer.timer.cancel()
        if piece:
            loop = asyncio.get_running_loop()
            transfer.timer = loop.call_later(TRANSFER_TIMEOUT, self._give_up, place)
        else:
            self._forget(place)
        self._client.flush()

    def _give_up(self, place: tuple[int, int]) -> None:
        log.debug("a program stopped to read the selection half-way")
        self._forget(place)
        self._client.flush()

    def _forget(self, place: tuple[int, int]) -> None:
        del self._transfers[place]
        if not any(window == place[0] for window, _name in self._transfers):
            self._client.core.ChangeWindowAttributes(place[0], xcffib.xproto.CW.EventMask, [0])
