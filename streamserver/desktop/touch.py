"""Fingers on the screen: as touches where a page is, as the mouse elsewhere."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from streamserver.desktop.input import Input
from streamserver.desktop.pages import Pages, Spot
from streamserver.logs import get_logger

MAX_FINGERS = 10
"""Fingers at a time; more are ignored."""
MAX_WAITING = 256
"""Movements that wait for the browser; later ones are dropped until it has caught up."""
STALE_AFTER = 10.0
"""Seconds without a word after which fingers count as lifted (neko: 10 s)."""
LEFT_BUTTON = 1

log = get_logger("desktop")


@dataclass(frozen=True, slots=True)
class _Step:
    """What one finger did; None for `x`: it was lifted."""

    finger: int
    x: int | None = None
    y: int = 0
    pressure: int = 0


class Touch:
    """Passes fingers on in order. No method waits.

    Attributes:
        enabled: whether touches are taken at all.
        pages: the browser's pages; None while there are none to touch.
    """

    def __init__(self, pointer: Input, is_window: Callable[[int, int], bool], *, enabled: bool) -> None:
        """`is_window` tells whether a program's window is at that point; menus are none."""
        self.enabled = enabled
        self.pages: Pages | None = None
        self._pointer = pointer
        self._is_window = is_window
        self._fingers: dict[int, _Step] = {}
        self._spot: Spot | None = None
        self._mouse: int | None = None
        self._begun: tuple[int, int] = (0, 0)
        self._waiting: deque[_Step] = deque()
        self._task: asyncio.Task[None] | None = None
        self._stale: asyncio.TimerHandle | None = None

    @property
    def reaches_pages(self) -> bool:
        """Whether pages feel touches as such; else all of them are the mouse."""
        return self.enabled and self.pages is not None

    def begin(self, finger: int, x: int, y: int, pressure: int = 255) -> None:
        """Put a finger down, px from the top left of the screen."""
        self._take(_Step(finger, x, y, pressure))

    def update(self, finger: int, x: int, y: int, pressure: int = 255) -> None:
        """Move a finger that is down."""
        self._take(_Step(finger, x, y, pressure), moves=True)

    def end(self, finger: int, x: int = 0, y: int = 0) -> None:
        """Lift a finger; where it was last is where it is lifted."""
        self._take(_Step(finger))

    def reset(self) -> None:
        """Lift all fingers and forget what was waiting."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._cancel()

    def _take(self, step: _Step, *, moves: bool = False) -> None:
        if not self.enabled:
            return
        if (moves and len(self._waiting) >= MAX_WAITING) or len(self._waiting) >= 2 * MAX_WAITING:
            return
        self._waiting.append(step)
        if self._stale is not None:
            self._stale.cancel()
        loop = asyncio.get_running_loop()
        self._stale = loop.call_later(STALE_AFTER, self.reset)
        if self._task is None:
            self._task = loop.create_task(self._work(), name="touch")

    async def _work(self) -> None:
        while self._waiting:
            step = self._waiting.popleft()
            if step.x is None:
                self._lift(step.finger)
            elif step.finger in self._fingers:
                self._move(step)
            else:
                await self._press(step)
        self._task = None

    async def _press(self, step: _Step) -> None:
        assert step.x is not None
        if len(self._fingers) >= MAX_FINGERS:
            return
        if not self._fingers:
            self._spot = await self._find(step.x, step.y)
            self._mouse = None if self._spot else step.finger
            self._begun = (step.x, step.y)
        self._fingers[step.finger] = step
        if self._spot is not None:
            self._tell("touchStart")
        elif step.finger == self._mouse:
            self._pointer.move(step.x, step.y)
            self._pointer.button_down(LEFT_BUTTON)

    def _move(self, step: _Step) -> None:
        self._fingers[step.finger] = step
        if self._spot is not None:
            self._tell("touchMove")
        elif step.finger == self._mouse and step.x is not None:
            self._pointer.move(step.x, step.y)
            self._pointer.button_down(LEFT_BUTTON)  # renews it

    def _lift(self, finger: int) -> None:
        if self._fingers.pop(finger, None) is None:
            return
        if self._spot is not None:
            # with the fingers that stay: Chromium lifts those that are missing, and at a movement it does not
            self._tell("touchEnd")
        elif finger == self._mouse:
            self._pointer.button_up(LEFT_BUTTON)
            self._mouse = None
        if not self._fingers:
            self._spot = None

    def _cancel(self) -> None:
        if self._stale is not None:
            self._stale.cancel()
            self._stale = None
        if self._spot is not None and self._fingers:
            self._fingers.clear()
            self._tell("touchCancel")
        elif self._mouse is not None:
            self._pointer.button_up(LEFT_BUTTON)
        self._fingers.clear()
        self._spot = self._mouse = None

    async def _find(self, x: int, y: int) -> Spot | None:
        if self.pages is None or not self._is_window(x, y):
            return None
        with contextlib.suppress(TimeoutError):
            return await self.pages.at(x, y)
        return None

    def _tell(self, kind: str) -> None:
        spot = self._spot
        if spot is None or self.pages is None:
            return
        left, top = self._begun[0] - spot.x, self._begun[1] - spot.y
        points = [
            {"x": step.x - left, "y": step.y - top, "id": finger, "force": min(step.pressure, 255) / 255}
            for finger, step in self._fingers.items()
            if step.x is not None
        ]
        self.pages.devtools.tell("Input.dispatchTouchEvent", spot.session, type=kind, touchPoints=points)
