"""Changing the screen's size, and telling everybody."""

from __future__ import annotations

from streamserver.config.types import ScreenSize
from streamserver.desktop.errors import DesktopError
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session
from streamserver.websocket.ports import DesktopPort


class ScreenChanger:
    """Tells `screen/updated` for every change, with whoever made it.

    A change from elsewhere (another program on the display) is told too, with an empty `id`: viewers
    need the size to point.
    """

    refusals = (DesktopError, ValueError)
    """What a size that is not possible raises."""

    def __init__(self, sessions: SessionManager, desktop: DesktopPort) -> None:
        self._sessions = sessions
        self._desktop = desktop
        self._actors: list[Session] = []
        self._told: ScreenSize | None = None

    async def set_screen(self, actor: Session, size: ScreenSize) -> ScreenSize:
        """Change the size for `actor`; return what it became. Raises one of `refusals`."""
        self._told = None
        self._actors.append(actor)
        try:
            became = await self._desktop.set_screen(size)
        finally:
            self._actors.remove(actor)
        if self._told != became:
            self._tell(actor, became)
        return became

    def changed(self, size: ScreenSize) -> None:
        """Hear of a change; the desktop calls this, also in the middle of `set_screen`."""
        self._tell(self._actors[0] if self._actors else None, size)

    def _tell(self, actor: Session | None, size: ScreenSize) -> None:
        self._told = size
        self._sessions.broadcast(
            "screen/updated",
            {
                "id": actor.id if actor else "",
                "width": size.width,
                "height": size.height,
                "rate": size.rate,
            },
        )
