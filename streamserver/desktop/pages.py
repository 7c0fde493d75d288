"""The pages that the browser shows: where they are on the screen, and talking to them by DevTools."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from streamserver.desktop.devtools import DevTools, DevToolsError, Json
from streamserver.logs import get_logger

LOOK_TIMEOUT = 0.4
"""Seconds a page has to say where it is; one that hangs is not there."""
MAX_PAGES = 200
"""Pages that are asked; what is opened beyond is left alone."""

_KINDS = ("page", "iframe")
_GEOMETRY = (
    "[document.visibilityState === 'visible', document.hasFocus(), screenX, screenY, outerHeight, "
    "innerWidth * devicePixelRatio, innerHeight * devicePixelRatio]"
)

log = get_logger("desktop")


@dataclass(frozen=True, slots=True)
class Spot:
    """A point of a page: its DevTools session, and px from the top left of what it shows."""

    session: str
    x: int
    y: int


class Pages:
    """The pages of one running browser, from `attach` on.

    Attributes:
        on_page: awaited with the session of each new page or frame of another site.
        on_event: called with method, parameters and session of what a page tells.
    """

    def __init__(self, devtools: DevTools) -> None:
        """Take the connection; its events are ours from now on."""
        self.devtools = devtools
        self.on_page: Callable[[str], Awaitable[object]] | None = None
        self.on_event: Callable[[str, Json, str], object] = lambda method, parameters, session: None
        self._pages: dict[str, str] = {}
        self._work: set[asyncio.Task[None]] = set()
        devtools.on_event = self._event

    async def attach(self) -> None:
        """Listen to the pages there are and those to come.

        Raises:
            DevToolsError: the browser refuses.
        """
        await self._attach_from("")

    async def at(self, x: int, y: int) -> Spot | None:
        """Return which page is at this point of the screen, in px; None: the browser's own buttons are."""
        pages = [session for session, kind in self._pages.items() if kind == "page"]
        found = await asyncio.gather(*(self._look(session, x, y) for session in pages))
        spots = [spot for spot in found if spot is not None]
        focused = [spot for has_focus, spot in spots if has_focus]
        return next(iter((*focused, *(spot for _, spot in spots))), None)

    def close(self) -> None:
        """Forget the pages."""
        for task in self._work:
            task.cancel()
        self._pages.clear()

    async def _look(self, session: str, x: int, y: int) -> tuple[bool, Spot] | None:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                answer = await self.devtools.call(
                    "Runtime.evaluate", session, expression=_GEOMETRY, returnByValue=True
                )
            visible, focused, left, top, outer, width, height = answer["result"]["value"]
            local_x, local_y = x - round(left), y - round(top + outer - height)
        except (TimeoutError, DevToolsError, KeyError, TypeError, ValueError, OverflowError):
            return None
        if not visible or not (0 <= local_x < width and 0 <= local_y < height):
            return None
        return bool(focused), Spot(session, local_x, local_y)

    async def _attach_from(self, session: str) -> None:
        await self.devtools.call(
            "Target.setAutoAttach", session, autoAttach=True, waitForDebuggerOnStart=False, flatten=True,
            filter=[{"type": kind} for kind in _KINDS],
        )  # fmt: skip

    def _event(self, method: str, parameters: Json, session: str) -> None:
        if method == "Target.attachedToTarget":
            kind = str(parameters["targetInfo"]["type"])
            if kind in _KINDS and len(self._pages) < MAX_PAGES:
                new = str(parameters["sessionId"])
                self._pages[new] = kind
                self._run(self._greet(new))
        elif method == "Target.detachedFromTarget":
            self._pages.pop(str(parameters["sessionId"]), None)
            self.on_event(method, parameters, str(parameters["sessionId"]))
        else:
            self.on_event(method, parameters, session)

    async def _greet(self, session: str) -> None:
        try:
            if self.on_page is not None:
                await self.on_page(session)
                await self._attach_from(session)
        except DevToolsError as error:
            log.debug("a page cannot be listened to", error=str(error))

    def _run(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
