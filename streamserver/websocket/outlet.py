"""Writing to many clients without keeping the event loop: a little of its time at each of its turns.

A picture goes to its viewers on the same loop. With 500 clients one message to all of them is 500 system
calls, and somebody who comes is two of these: in one piece that would be a frame late for everybody.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast

from starlette.types import Scope

EXTENSION = "catnap.frames"
"""Key in `scope["extensions"]` of a WebSocket that our own server carries."""

SLICE = 0.0005
"""Seconds of one turn of the event loop that may go into writing."""


class FrameWriter(Protocol):
    """Writes WebSocket frames past ASGI, which takes a task's turn and ten times as long for each."""

    def write_frames(self, frames: bytes) -> bool:
        """Hand frames to the kernel; False, and nothing is done, when that would have to wait, or is over."""


def writer_of(scope: Scope) -> FrameWriter | None:
    """Return the way past ASGI; none where another server than ours carries the WebSocket."""
    extensions = cast("dict[str, Any]", scope.get("extensions") or {})
    return cast("FrameWriter | None", extensions.get(EXTENSION))


def text_frame(text: str) -> bytes:
    """Return a server's frame with a whole text message of ASCII (RFC 6455 §5.2)."""
    size = len(text)
    if size < 126:
        head = bytes((0x81, size))
    elif size < 1 << 16:
        head = b"\x81\x7e" + size.to_bytes(2, "big")
    else:
        head = b"\x81\x7f" + size.to_bytes(8, "big")
    return head + text.encode("ascii")


class Writes(Protocol):
    """One client's sending half, as the outlet sees it."""

    def flush(self) -> None:
        """Write what waits for the client, as far as that needs no waiting."""


class Outlet:
    """Lets the clients that something waits for write, in the order in which it came."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock`: seconds."""
        self._due: deque[Writes] = deque()
        self._clock = clock

    def soon(self, client: Writes) -> None:
        """Call the client's `flush` at one of the event loop's next turns, once for each call of this."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._turn)
        self._due.append(client)

    def _turn(self) -> None:
        due, end = self._due, self._clock() + SLICE
        while due:
            # taken away afterwards: as long as something is here, no second turn is asked for
            due[0].flush()
            due.popleft()
            if due and self._clock() >= end:
                asyncio.get_running_loop().call_soon(self._turn)
                return
