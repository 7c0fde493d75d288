"""Who listens to a stream. Lives on the event loop."""

from __future__ import annotations

from collections.abc import Callable

from streamserver.logs import get_logger

from .frames import EncodedFrame
from .stream import FrameListener

log = get_logger("capture")


class Seat:
    """One listener's place (a `Subscription`); it waits for a key frame first where the stream has such."""

    def __init__(self, listener: FrameListener, leave: Callable[[Seat], None], *, waiting: bool) -> None:
        self._listener = listener
        self._leave = leave
        self._waiting = waiting
        self._closed = False

    def deliver(self, frame: EncodedFrame) -> None:
        """Hand over a frame, unless the listener left or needs a key frame first."""
        if self._closed or (self._waiting and not frame.keyframe):
            return
        self._waiting = False
        try:
            self._listener(frame)
        except Exception:  # its failure is its own; the others go on
            log.exception("a listener failed", listener=repr(self._listener))

    def close(self) -> None:
        """Leave the stream. Safe to call again."""
        if not self._closed:
            self._closed = True
            self._leave(self)


class Fanout:
    """The seats of one stream.

    `occupied` is called with the new number of listeners whenever it changes.
    """

    def __init__(self, *, starts_with_keyframe: bool, occupied: Callable[[int], None]) -> None:
        self._starts_with_keyframe = starts_with_keyframe
        self._occupied = occupied
        self._seats: tuple[Seat, ...] = ()

    def __len__(self) -> int:
        return len(self._seats)

    def join(self, listener: FrameListener) -> Seat:
        """Add a listener."""
        seat = Seat(listener, self._left, waiting=self._starts_with_keyframe)
        self._seats = (*self._seats, seat)
        self._occupied(len(self._seats))
        return seat

    def deliver(self, frame: EncodedFrame) -> None:
        """Hand a frame to everyone who sits now; listeners may come and go meanwhile."""
        for seat in self._seats:
            seat.deliver(frame)

    def close(self) -> None:
        """Close every seat."""
        for seat in self._seats:
            seat.close()

    def _left(self, seat: Seat) -> None:
        self._seats = tuple(other for other in self._seats if other is not seat)
        self._occupied(len(self._seats))
