"""The interface between capture and whoever sends its streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from .frames import EncodedFrame

FrameListener = Callable[[EncodedFrame], None]
"""Called on the event loop for every frame, in order; it must not block. What it raises is logged."""

MediaKind = Literal["video", "audio"]


class Subscription(Protocol):
    """One listener's place on a stream."""

    def close(self) -> None:
        """Stop listening. No frame is delivered after this returns. Safe to call again."""


class MediaStream(Protocol):
    """A picture or sound source that is captured and encoded once, and only while somebody listens.

    Every method is called on the event loop.
    """

    @property
    def id(self) -> str:
        """Name viewers select it by, for example `main`."""

    @property
    def kind(self) -> MediaKind:
        """`video` or `audio`."""

    @property
    def codec(self) -> str:
        """Codec name in lower case: `h264` or `opus`."""

    @property
    def bitrate(self) -> int:
        """What it may use at most, bit/s."""

    def subscribe(self, listener: FrameListener) -> Subscription:
        """Start listening; the first frame a listener gets of a video stream is a key frame.

        The first listener starts the capture, the last one to leave stops it. On a still screen a new
        listener gets a key frame of the current picture at once. To resume after a pause, subscribe again.
        """

    def request_keyframe(self) -> None:
        """Ask for a key frame for everyone (a viewer lost data or changed its path).

        Requests that come close together are answered by one key frame. Without effect on audio.
        """
