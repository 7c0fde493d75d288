"""Whether a viewer gets a stream now, and from which frame on."""

from __future__ import annotations

from typing import Protocol

from streamserver.capture.frames import EncodedFrame
from streamserver.capture.stream import MediaKind, MediaStream, Subscription


class Sink(Protocol):
    """Who sends what flows."""

    def deliver(self, frame: EncodedFrame) -> None:
        """Send a frame."""

    def discard(self) -> None:
        """Forget what was delivered and has not been sent: it is not wanted any more."""


class Flow:
    """One viewer's place at its picture or sound; the sink gets what the viewer is to be sent.

    It listens to its stream only while somebody gets something from it: a sender runs (`set_started`), the
    viewer can decrypt (`set_ready`), and neither the viewer nor private mode turned it off. `dropped` counts
    frames that were waited out until the next key frame.
    """

    def __init__(self, kind: MediaKind, stream: MediaStream | None, sink: Sink) -> None:
        self.kind = kind
        self.dropped = 0
        self._sink = sink
        self._stream = stream
        self._subscription: Subscription | None = None
        self._generation = 0
        self._needs_keyframe = True
        self._started = False
        self._ready = False
        self._paused = False
        self._disabled = False
        self._stopped = False

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
        """Whether it listens to its stream."""
        return self._subscription is not None

    def set_stream(self, stream: MediaStream | None) -> None:
        """Change to another stream; its first frame is a key frame."""
        if stream is not self._stream:
            self._unsubscribe()
            self._stream = stream
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

    def request_keyframe(self) -> None:
        """Ask the stream for a key frame, if we listen to it."""
        if self._subscription is not None and self._stream is not None:
            self._stream.request_keyframe()

    def skip_to_keyframe(self) -> None:
        """Deliver nothing before the next key frame, and ask for it."""
        self._needs_keyframe = True
        self.request_keyframe()

    def stop(self) -> None:
        """End it for good."""
        self._stopped = True
        self._unsubscribe()

    def _update(self) -> None:
        wanted = self._started and self._ready and not (self._paused or self._disabled or self._stopped)
        if not wanted:
            self._unsubscribe()
        elif self._subscription is None and self._stream is not None:
            self._needs_keyframe = self.kind == "video"
            self._generation += 1
            generation = self._generation

            def listener(frame: EncodedFrame) -> None:
                if generation == self._generation:
                    self._take(frame)

            self._subscription = self._stream.subscribe(listener)

    def _unsubscribe(self) -> None:
        self._generation += 1
        self._sink.discard()
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            subscription.close()

    def _take(self, frame: EncodedFrame) -> None:
        if self._needs_keyframe:
            if not frame.keyframe:
                self.dropped += 1
                return
            self._needs_keyframe = False
        self._sink.deliver(frame)
