"""Single pictures of a video stream as JPEG: screenshots, and the slow film made of them (neko: screencast).

They are decoded from what is encoded for viewers anyway, and only when somebody asks.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from prometheus_client import CollectorRegistry, Counter

from .errors import NoPictureError
from .frames import EncodedFrame
from .jpeg import encode_jpeg
from .stream import MediaStream, Subscription

FIRST_PICTURE_TIMEOUT = 3.0
"""Seconds the stream has for its first picture."""

IDLE_TIMEOUT = 5.0
"""Seconds after the last question until the stream is left (neko: 5 to 10)."""

SETTLE_TIMEOUT = 0.6
"""Seconds a screenshot waits at most for a picture that has just begun to become sharp."""

SETTLED_AFTER = 0.12
"""Seconds without a new picture after which it is as sharp as it will be."""

MAX_WAITING = 600
"""Pictures that wait to be decoded; beyond it a new key frame is asked for."""


class Stills:
    """The newest picture of a stream, on demand. Used on the event loop; decoding happens on a thread."""

    def __init__(
        self,
        stream: MediaStream,
        registry: CollectorRegistry,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._images = Counter(
            "neko_capture_screencast_images", "JPEG pictures made of the screen.", registry=registry
        )
        self._subscription: Subscription | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()
        self._waiting: deque[EncodedFrame] = deque()
        self._arrived = asyncio.Event()
        self._decoder: VideoCodecContext | None = None
        self._picture: VideoFrame | None = None
        self._made: dict[int, tuple[bytes, float]] = {}

    @property
    def is_open(self) -> bool:
        """Whether it listens to the stream now."""
        return self._subscription is not None

    async def cast(self, quality: int, interval: float) -> bytes:
        """Return a picture that is `interval` seconds old at most; raises `NoPictureError`."""
        async with self._turn:
            self._use()
            kept = self._made.get(quality)
            if kept is not None and self._clock() - kept[1] < interval:
                return kept[0]
            return await self._make(quality)

    async def shot(self, quality: int) -> bytes:
        """Return the picture of now, once it is sharp; raises `NoPictureError`."""
        async with self._turn:
            if self._use():
                await self._wait_for_first()
                await self._wait_until_settled()
            return await self._make(quality)

    def close(self) -> None:
        """Leave the stream; the next question comes back to it."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        self._waiting.clear()
        self._arrived.clear()
        self._made.clear()
        self._decoder = self._picture = None

    def _use(self) -> bool:
        """Listen, and leave when nobody asks any more; return whether it has just begun."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(IDLE_TIMEOUT, self.close)
        if self._subscription is not None:
            return False
        self._subscription = self._stream.subscribe(self._take)
        return True

    def _take(self, frame: EncodedFrame) -> None:
        if frame.keyframe:
            self._waiting.clear()
        elif len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
            self._decoder = None  # it lacks what was thrown away
            self._stream.request_keyframe()
            return
        elif not self._waiting and self._decoder is None:
            return
        self._waiting.append(frame)
        self._arrived.set()

    async def _wait_for_first(self) -> None:
        try:
            async with asyncio.timeout(FIRST_PICTURE_TIMEOUT):
                await self._arrived.wait()
        except TimeoutError:
            raise NoPictureError(
                f"the screen gave no picture within {FIRST_PICTURE_TIMEOUT:g} s; the log says why"
            ) from None

    async def _wait_until_settled(self) -> None:
        """Return when no picture has come for a moment, or when it is clear that they do not cease."""
        deadline = self._clock() + SETTLE_TIMEOUT
        while self._clock() < deadline:
            self._arrived.clear()
            try:
                async with asyncio.timeout(SETTLED_AFTER):
                    await self._arrived.wait()
            except TimeoutError:
                return

    async def _make(self, quality: int) -> bytes:
        if self._picture is None and not self._waiting:
            await self._wait_for_first()
        kept = self._made.get(quality)
        if kept is not None and not self._waiting:
            self._made[quality] = (kept[0], self._clock())
            return kept[0]
        frames = tuple(self._waiting)
        if self._waiting:
            self._waiting.clear()
            self._made.clear()
        if self._decoder is None or (frames and frames[0].keyframe):
            self._decoder = _decoder(self._stream.codec)
        decoder, picture = self._decoder, self._picture
        made_at = self._clock()
        picture, jpeg = await asyncio.to_thread(_jpeg, decoder, frames, picture, quality)
        self._images.inc()
        if self._decoder is decoder:
            self._picture = picture
            self._made[quality] = (jpeg, made_at)
            if len(self._made) > 4:
                del self._made[next(iter(self._made))]
        return jpeg


def _decoder(codec: str) -> VideoCodecContext:
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.options = {"flags": "low_delay"}
    decoder.thread_count = 1
    return decoder


def _jpeg(
    decoder: VideoCodecContext, frames: tuple[EncodedFrame, ...], picture: VideoFrame | None, quality: int
) -> tuple[VideoFrame, bytes]:
    """Decode what is new and return the last picture, and the same as JPEG."""
    try:
        for frame in frames:
            for decoded in decoder.decode(Packet(frame.data)):
                picture = decoded
    except av.FFmpegError as error:
        raise NoPictureError(f"the picture cannot be decoded: {error}") from error
    if picture is None:
        raise NoPictureError("the stream has no picture yet")
    return picture, encode_jpeg(picture, quality)
