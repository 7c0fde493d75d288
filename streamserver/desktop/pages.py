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
        self._sessions: dict[str, str] = {}
        self._work: set[asyncio.Task[None]] = set()
        devtools.on_event = self._event

    async def attach(self) -> None:
        """See that the browser answers; with `on_page` listen to the pages there are and those to come.

        Never by `Target.setAutoAttach`: with it a page that opens a window waits for ever.

        Raises:
            DevToolsError: the browser refuses.
        """
        await self.devtools.call("Target.getTargets")
        if self.on_page is not None:
            await self.devtools.call("Target.setDiscoverTargets", discover=True)

    async def at(self, x: int, y: int) -> Spot | None:
        """Return which page is at this point of the screen, in px; None: the browser's own buttons are."""
        pages = await self._attached_pages()
        found = await asyncio.gather(*(self._look(session, x, y) for session in pages))
        spots = [spot for spot in found if spot is not None]
        focused = [spot for has_focus, spot in spots if has_focus]
        return next(iter((*focused, *(spot for _, spot in spots))), None)

    def close(self) -> None:
        """Forget the pages."""
        for task in self._work:
            task.cancel()
        self._sessions.clear()

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

    async def _attached_pages(self) -> list[str]:
        """Return the sessions of all pages, new ones where there was none."""
        try:
            answer = await self.devtools.call("Target.getTargets", filter=[{"type": "page"}])
            targets = [str(target["targetId"]) for target in answer["targetInfos"]][:MAX_PAGES]
            sessions = await asyncio.gather(*map(self._session, targets))
        except (DevToolsError, KeyError, TypeError) as error:
            log.debug("the browser does not tell its pages", error=str(error))
            return []
        return [session for session in sessions if session]

    async def _session(self, target: str) -> str:
        """Return the session of a page or frame; empty when it is gone by now."""
        if target not in self._sessions:
            try:
                answer = await self.devtools.call("Target.attachToTarget", targetId=target, flatten=True)
            except DevToolsError:
                return ""
            self._sessions.setdefault(target, str(answer.get("sessionId", "")))
        return self._sessions[target]

    def _event(self, method: str, parameters: Json, session: str) -> None:
        if method == "Target.targetCreated":
            info = parameters["targetInfo"]
            if info["type"] in _KINDS and len(self._sessions) < MAX_PAGES:
                self._run(self._greet(str(info["targetId"])))
        elif method == "Target.detachedFromTarget":
            gone = str(parameters["sessionId"])
            self._sessions = {target: one for target, one in self._sessions.items() if one != gone}
            self.on_event(method, parameters, gone)
        else:
            self.on_event(method, parameters, session)

    async def _greet(self, target: str) -> None:
        session = await self._session(target)
        if not session or self.on_page is None:
            return
        try:
            await self.on_page(session)
        except DevToolsError as error:
            log.debug("a page cannot be listened to", error=str(error))

    def _run(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
