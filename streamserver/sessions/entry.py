"""What the manager keeps about each session besides what everybody sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from streamserver.awake import AwakeTimer
from streamserver.sessions.model import Session, SocketPeer


class Timer(Protocol):
    """A call that is due later and can be called off."""

    def cancel(self) -> None:
        """Call it off; nothing happens when it was made already."""


class Schedule(Protocol):
    """Makes a call after some seconds, as `loop.call_later` does."""

    def __call__(self, delay: float, callback: Callable[[], None], /) -> Timer:
        """Call `callback` in `delay` seconds."""


def loop_schedule(delay: float, callback: Callable[[], None], /) -> Timer:
    """Make the call on the running event loop, after seconds in which we were not stopped.

    What is timed here is how long others take to come back, and during a stop nobody can.
    """
    return AwakeTimer(delay, callback)


@dataclass(eq=False)
class Attempt:
    """A WebSocket that is not announced yet: it waits for its turn or for the `connecting` hooks.

    Nothing ends a session under the hooks' feet: an end that comes meanwhile cancels them and is carried
    out when they are done, so that `disconnected` always comes after what they began.
    """

    socket: SocketPeer
    hooks: asyncio.Task[None] | None = None
    lost: bool = False
    close_code: int | None = None
    refusal: str | None = None
    endings: list[Callable[[], None]] = field(default_factory=list)

    def lose(self, code: int | None) -> None:
        """Take note that the socket is gone."""
        self.lost, self.close_code = True, code

    def end(self, reason: str, ending: Callable[[], None]) -> None:
        """Refuse the socket, and make the call as soon as the hooks are done."""
        self.refusal = self.refusal or reason
        self.endings.append(ending)
        if self.hooks is not None:
            self.hooks.cancel()


@dataclass(eq=False)
class Entry:
    """A session with its secrets and timers."""

    session: Session
    token: str
    idle_since: float
    """When it was last in use, on the manager's clock."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one WebSocket that is being taken."""
    attempts: list[Attempt] = field(default_factory=list)
    """WebSockets that wait for their turn or have it."""
    current: Attempt | None = None
    """The one whose hooks run."""
    grace: Timer | None = None
    """Runs while a lost WebSocket still counts as connected."""
    media_end: Timer | None = None
    """Runs between the loss of a right and the end of the WebRTC connection."""

    def stop_grace(self) -> None:
        """Forget about the lost WebSocket."""
        if self.grace is not None:
            self.grace.cancel()
            self.grace = None

    def stop_timers(self) -> None:
        """Call off everything that is due later."""
        self.stop_grace()
        if self.media_end is not None:
            self.media_end.cancel()
            self.media_end = None
