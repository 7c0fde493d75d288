"""JPEG pictures of the screen for whoever may see it: what private mode means for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streamserver.capture.errors import NoPictureError
from streamserver.config.sharing_settings import ScreencastSettings
from streamserver.logs import get_logger
from streamserver.sessions.control import is_private_for
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import RoomSettings, Session

if TYPE_CHECKING:  # it loads codecs, which not every command needs
    from streamserver.capture.stills import Stills

log = get_logger("api")


class PrivateError(Exception):
    """Private mode is on, and there is no picture from before it."""


class Screencast:
    """The pictures of `cast.jpg`. In private mode all but admins get the one from when it began."""

    def __init__(self, stills: Stills, settings: ScreencastSettings, sessions: SessionManager) -> None:
        self.enabled = settings.enabled
        self._stills = stills
        self._settings = settings
        self._sessions = sessions
        self._frozen: bytes | None = None
        self._freezing: asyncio.Task[None] | None = None
        if self.enabled:
            sessions.events.settings_changed.subscribe(self._settings_changed)

    async def image(self, session: Session) -> bytes:
        """Return the picture for this session; raises `NoPictureError` or `PrivateError`."""
        if not is_private_for(session, self._sessions.room):
            return await self._stills.cast(self._settings.quality, 1 / self._settings.rate)
        if self._freezing is not None:
            await asyncio.wait({self._freezing})
        if self._frozen is None:
            raise PrivateError
        return self._frozen

    def _settings_changed(self, _actor: Session | None, new: RoomSettings, old: RoomSettings) -> None:
        if new.private_mode == old.private_mode:
            return
        self._frozen = None
        if self._freezing is not None:
            self._freezing.cancel()
            self._freezing = None
        if new.private_mode:
            self._freezing = asyncio.get_running_loop().create_task(self._freeze(), name="frozen picture")

    async def _freeze(self) -> None:
        """Keep what was shown last: an older picture rather than one of what is to be private."""
        try:
            self._frozen = await self._stills.cast(self._settings.quality, interval=60)
        except NoPictureError as error:
            log.info("private mode has no picture to show", reason=str(error))
