"""Tracks that hand aiortc what capture has encoded already."""

from __future__ import annotations

import asyncio
import fractions
import time
from collections import deque

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.stream import Stream

from streamserver.capture.frames import AUDIO_CLOCK_RATE, VIDEO_CLOCK_RATE, EncodedFrame
from streamserver.capture.stream import MediaKind, MediaStream, Subscription

QUEUE_LIMIT: dict[MediaKind, int] = {"video": 12, "audio": 25}
"""Frames that wait for the sender: half a second at most. The sender takes them at once unless the loop is
late.
"""

MAX_REPORTED_DELAY = 1.0
"""Seconds; a larger time from capture to sending is a stopped process and no property of the encoder."""


class EncodedTrack(MediaStreamTrack):
    """One viewer's picture or sound.

    It listens to its stream only while somebody gets something from it: the sender runs (it asked for a
    frame), the viewer can decrypt (`set_ready`), and neither the viewer nor private mode turned it off.
    `dropped` counts frames that the sender was too late for.
    """

    def __init__(self, kind: MediaKind, stream: MediaStream | None) -> None:
        self.kind = kind
        super().__init__()
        self.dropped = 0
        self._delay = 0.0
        self._stream = stream
        self._media_kind: MediaKind = kind
        self._time_base = fractions.Fraction(1, VIDEO_CLOCK_RATE if kind == "video" else AUDIO_CLOCK_RATE)
        self._frames: deque[EncodedFrame] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._subscription: Subscription | None = None
        self._generation = 0
        self._needs_keyframe = True
        self._pulled = False
        self._ready = False
        self._paused = False
        self._disabled = False

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

    def send_delay(self) -> float:
        """Return seconds from capture to sending of the latest frame."""
        return self._delay

    async def recv(self) -> av.Packet[Stream]:
        """Return the next frame for the sender.

        Raises:
            MediaStreamError: the track was stopped.
        """
        if not self._pulled:
            self._pulled = True
            self._update()
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        frame = self._frames.popleft()
        self._delay = min(max(0.0, time.monotonic() - frame.captured_at), MAX_REPORTED_DELAY)
        packet = av.Packet(frame.data)
        packet.pts = frame.rtp_time
        packet.time_base = self._time_base
        return packet

    def stop(self) -> None:
        """End the track: stop listening and release whoever waits for a frame."""
        super().stop()
        self._unsubscribe()
        self._wake()

    def _update(self) -> None:
        wanted = (
            self._pulled
            and self._ready
            and not self._paused
            and not self._disabled
            and self.readyState == "live"
        )
        if not wanted:
            self._unsubscribe()
        elif self._subscription is None and self._stream is not None:
            self._needs_keyframe = self._media_kind == "video"
            self._generation += 1
            generation = self._generation

            def listener(frame: EncodedFrame) -> None:
                if generation == self._generation:
                    self._deliver(frame)

            self._subscription = self._stream.subscribe(listener)

    def _unsubscribe(self) -> None:
        self._generation += 1
        self._frames.clear()
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            subscription.close()

    def _deliver(self, frame: EncodedFrame) -> None:
        if self._needs_keyframe:
            if not frame.keyframe:
                self.dropped += 1
                return
            self._needs_keyframe = False
        if len(self._frames) >= QUEUE_LIMIT[self._media_kind]:
            self._overflow(frame)
            return
        self._frames.append(frame)
        self._wake()

    def _overflow(self, frame: EncodedFrame) -> None:
        """Drop what is late: old sound, or all of the picture up to the next key frame."""
        if self._media_kind == "audio":
            self._frames.popleft()
            self._frames.append(frame)
            self.dropped += 1
            return
        self.dropped += len(self._frames)
        self._frames.clear()
        if frame.keyframe:
            self._frames.append(frame)
        else:
            self.dropped += 1
            self._needs_keyframe = True
            self.request_keyframe()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
