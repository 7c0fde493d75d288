"""Shows everybody the pointer of whoever is in control."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from streamserver.sessions.model import Session

from .control_channel import ControlChannel
from .surroundings import CursorImageLike, DesktopLike

POSITION_INTERVAL = 1 / 30
"""Seconds between two positions of the pointer: a mouse sends up to a thousand a second, times every viewer.
"""


class CursorBroadcast:
    """Passes looks and positions of the pointer to the open channels. Used on the event loop only."""

    def __init__(self, desktop: DesktopLike, channels: Callable[[], Iterable[ControlChannel]]) -> None:
        self._channels = channels
        self._pending: tuple[Session, int, int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsubscribe = desktop.on_cursor_image.subscribe(self._image_changed)

    def moved(self, mover: Session, x: int, y: int) -> None:
        """Tell everybody but the mover: the first position at once, then the latest per interval."""
        if self._timer is None:
            self._send(mover, x, y)
            self._timer = asyncio.get_running_loop().call_later(POSITION_INTERVAL, self._interval_over)
        else:
            self._pending = (mover, x, y)

    def close(self) -> None:
        """Send nothing more."""
        self._unsubscribe()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _interval_over(self) -> None:
        self._timer = None
        if self._pending is not None:
            mover, x, y = self._pending
            self._pending = None
            self.moved(mover, x, y)

    def _send(self, mover: Session, x: int, y: int) -> None:
        for channel in self._channels():
            if channel.session is not mover:
                channel.send_cursor_position(x, y)

    def _image_changed(self, image: CursorImageLike) -> None:
        for channel in self._channels():
            channel.send_cursor_image(image)
