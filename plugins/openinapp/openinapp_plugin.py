"""The plugin: tells clients whether links may be sent, and has the desktop open them."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable

from fastapi import APIRouter
from pydantic import BaseModel

from plugins.openinapp.link import BadLink, check_link
from plugins.openinapp.settings import OpenInAppSettings
from streamserver.logs import get_logger
from streamserver.plugins.contract import DesktopError, Managers, SharedDesktop
from streamserver.plugins.http import ApiError, CurrentSession, JsonRoute, describes
from streamserver.sessions.control import may_control
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session

log = get_logger("openinapp")

INIT = "openinapp/init"
"""To the client, when it has connected: `{"enabled": bool}`."""
DISABLED = "openinapp is disabled"
NOT_HOST = "only the host can open links"
"""neko's words."""
MOST_LINKS = 10
"""Links that are opened within `PERIOD`."""
PERIOD = 10.0
"""Seconds."""


class OpenInAppPlugin:
    """Opens the links of whoever is in control."""

    name = "openinapp"
    settings_model: type[BaseModel] = OpenInAppSettings

    def __init__(self) -> None:
        self._undo = contextlib.ExitStack()

    async def start(self, managers: Managers, settings: BaseModel) -> None:
        """Begin; with `openinapp.enabled` off, clients are only told so."""
        assert isinstance(settings, OpenInAppSettings)
        links = Links(managers.sessions, managers.desktop, settings)
        self._undo.callback(managers.sessions.events.connected.subscribe(links.greet))
        managers.api.add_router("/openinapp", links.router())

    async def shutdown(self) -> None:
        """Stop greeting; what was started is the desktop's to end."""
        self._undo.close()


class OpenLink(BaseModel):
    """The body of `POST /api/openinapp/openlink`."""

    text: str


class Links:
    """Who may open links, and how."""

    def __init__(
        self,
        sessions: SessionManager,
        desktop: SharedDesktop,
        settings: OpenInAppSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` (monotonic seconds) is there for tests."""
        self._sessions = sessions
        self._desktop = desktop
        self._settings = settings
        self._clock = clock
        self._opened: deque[float] = deque(maxlen=MOST_LINKS)

    def greet(self, session: Session) -> None:
        """Tell a new connection whether links may be sent."""
        session.send(INIT, {"enabled": self._settings.enabled})

    def router(self) -> APIRouter:
        """Return the route that opens a link."""
        router = APIRouter(tags=["openinapp"], route_class=JsonRoute)

        @router.post(
            "/openlink",
            operation_id="openInAppOpenLink",
            responses=describes(
                _400="It is no link to a page.",
                _403="Links are off, or somebody else is in control.",
                _429=f"More than {MOST_LINKS} links in {PERIOD:g} s.",
                _503="The browser is not there, or the program cannot be started; the sentence says why.",
            ),
        )
        async def open_link(session: CurrentSession, body: OpenLink) -> None:
            """Open a link on the shared screen: in a new tab, or with `openinapp.open_command`."""
            self._check(session)
            try:
                link = check_link(body.text)
            except BadLink as error:
                raise ApiError(400, str(error)) from None
            self._count()
            try:
                await self._open(link)
            except DesktopError as error:
                log.warning("link not opened", session=session.id, reason=str(error))
                raise ApiError(503, str(error)) from error
            log.info("link opened", session=session.id)

        return router

    async def _open(self, link: str) -> None:
        if command := self._settings.words:
            await self._desktop.run_program([*command, link])
        else:
            await self._desktop.open_page(link)

    def _check(self, session: Session) -> None:
        if not self._settings.enabled:
            raise ApiError(403, DISABLED)
        room = self._sessions.room
        if not session.is_controller and not (room.implicit_hosting and may_control(session, room)):
            raise ApiError(403, NOT_HOST)

    def _count(self) -> None:
        now = self._clock()
        if len(self._opened) == MOST_LINKS and now - self._opened[0] < PERIOD:
            raise ApiError(429, f"more than {MOST_LINKS} links in {PERIOD:g} s; wait a moment")
        self._opened.append(now)
