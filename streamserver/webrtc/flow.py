"""Whether a viewer gets a stream now, and from which frame on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from streamserver.capture.frames import EncodedFrame
from streamserver.capture.stream import MediaKind, MediaStream, Subscription

from .early_frames import EarlyFrames


class Sink(Protocol):
    """Who sends what flows."""

    def deliver(self, frame: EncodedFrame) -> None:
        """Send a frame."""

    def discard(self) -> None:
        """Forget what was delivered: it is not wanted any more, and a key frame comes next."""


class Flow:
    """One viewer's place at its picture or sound; the sink gets what the viewer is to be sent.

    It listens to its stream only while somebody gets something from it: a sender runs (`set_started`), the
    viewer can decrypt (`set_ready`), its network can take it (`set_held`), and neither the viewer nor private
    mode turned it off. The first key frame takes as long as connecting does, so it may listen as soon as the
    viewer is expected (`set_expected`), and keep what comes. `dropped` counts frames that were waited out
    until the next key frame.
    """

    def __init__(self, kind: MediaKind, stream: MediaStream | None, sink: Sink) -> None:
        self.kind = kind
        self.dropped = 0
        self._sink = sink
        self._stream = stream
        self._place: _Place | None = None
        self._next_place: _Place | None = None
        self._started = False
        self._ready = False
        self._paused = False
        self._disabled = False
        self._held = False
        self._stopped = False
        self._early: EarlyFrames | None = None

    @property
    def stream(self) -> MediaStream | None:
        """The stream that is chosen, whether or not it flows."""
        return self._stream

    @property
    def disabled(self) -> bool:
        """Whether the viewer turned it off."""
        return self._disabled

    @property
    def flowing(self) -> bool:
        """Whether the viewer gets what it listens to."""
        return self._place is not None and self._early is None

    @property
    def changing(self) -> bool:
        """Whether the chosen stream's first key frame is still to come."""
        return self._next_place is not None

    def set_stream(self, stream: MediaStream | None, *, at_once: bool = False) -> None:
        """Change to another stream; its first frame is a key frame.

        Until that comes the old one goes on; with `at_once` nothing is delivered: the way is full as it is.
        """
        if stream is self._stream:
            return
        self._stream = stream
        if self._next_place is not None:
            self._next_place.leave()
            self._next_place = None
        if stream is None or self._place is None:
            self._unsubscribe()
            self._update()
        elif stream is not self._place.stream:
            if at_once:
                self._sink.discard()
                self._place.waiting = True
            self._next_place = _Place(stream, self._take_next, waiting=True)
        elif self._place.waiting:
            self.request_keyframe()

    def set_expected(self, expected: bool) -> None:
        """Note that the viewer will be ready soon, or that it takes too long; nothing if it is ready."""
        if self._started and self._ready:
            return
        self._early = EarlyFrames() if expected else None
        self._update()

    def set_started(self) -> None:
        """Note that there is a sender, which knows what was negotiated."""
        self._started = True
        self._update()

    def set_ready(self) -> None:
        """Note that the viewer can decrypt from now on."""
        self._ready = True
        self._update()

    def set_paused(self, paused: bool) -> None:
        """Stop or go on, because of a rule of the room."""
        self._paused = paused
        self._update()

    def set_disabled(self, disabled: bool) -> None:
        """Stop or go on, because the viewer wants it."""
        self._disabled = disabled
        self._update()

    def set_held(self, held: bool) -> None:
        """Stop or go on, because the viewer's network cannot take it."""
        self._held = held
        self._update()

    @property
    def held(self) -> bool:
        """Whether the viewer's network cannot take it."""
        return self._held

    def request_keyframe(self) -> None:
        """Ask the stream for a key frame, if we listen to it."""
        if self._place is not None:
            self._place.stream.request_keyframe()

    def skip_to_keyframe(self) -> None:
        """Deliver nothing before the next key frame; ask for it, unless one of another stream is to come."""
        if self._place is not None:
            self._place.waiting = True
        if self._next_place is None:
            self.request_keyframe()

    def stop(self) -> None:
        """End it for good."""
        self._stopped = True
        self._unsubscribe()

    def _update(self) -> None:
        kept_back = self._paused or self._disabled or self._held or self._stopped
        ready = self._started and self._ready
        if kept_back or not (ready or self._early is not None):
            self._unsubscribe()
        elif self._place is None and self._stream is not None:
            self._place = _Place(self._stream, self._take, waiting=self.kind == "video")
        if ready and self._early is not None:
            self._begin(self._early)

    def _begin(self, early: EarlyFrames) -> None:
        """Deliver what came early."""
        self._early = None
        if early.missed:
            self.skip_to_keyframe()
        for frame in early.take():
            self._sink.deliver(frame)

    def _unsubscribe(self) -> None:
        self._sink.discard()
        if self._early is not None:
            self._early = EarlyFrames()
        for place in (self._place, self._next_place):
            if place is not None:
                place.leave()
        self._place = self._next_place = None

    def _take(self, place: _Place, frame: EncodedFrame) -> None:
        if place.waiting:
            if not frame.keyframe or self._next_place is not None:
                self.dropped += 1
                return
            place.waiting = False
        if self._early is not None:
            self._early.add(frame)
        else:
            self._sink.deliver(frame)

    def _take_next(self, place: _Place, frame: EncodedFrame) -> None:
        """Change over with the chosen stream's first key frame; what waits of the old one is not wanted."""
        if place.waiting and not frame.keyframe:
            return
        if self._next_place is place:
            old, self._place, self._next_place = self._place, place, None
            if old is not None:
                old.leave()
            self._sink.discard()
        self._take(place, frame)


class _Place:
    """A listener's place at one stream; nothing is taken any more once it has left.

    `waiting`: whether a key frame must come first.
    """

    def __init__(
        self, stream: MediaStream, take: Callable[[_Place, EncodedFrame], None], *, waiting: bool
    ) -> None:
        self.stream = stream
        self.waiting = waiting
        self._left = False
        self._take = take
        self._subscription: Subscription = stream.subscribe(self._listen)

    def leave(self) -> None:
        """Stop listening."""
        self._left = True
        self._subscription.close()

    def _listen(self, frame: EncodedFrame) -> None:
        if not self._left:
            self._take(self, frame)
