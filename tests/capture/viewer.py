"""A listener that keeps what it gets, and looks at it as a browser would."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from streamserver.capture.frames import EncodedFrame
from tests.capture.x_screen import Card

SMPTE170M = 6
LIMITED = 1


@dataclass
class Viewer:
    frames: list[EncodedFrame] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)

    def __call__(self, frame: EncodedFrame) -> None:
        self.frames.append(frame)
        self.arrivals.append(time.monotonic())

    @property
    def keyframes(self) -> int:
        return sum(frame.keyframe for frame in self.frames)

    def pictures(self) -> list[VideoFrame]:
        """Decode everything that came."""
        context = av.CodecContext.create("h264", "r")
        assert isinstance(context, VideoCodecContext)
        context.flags |= 1 << 19  # AV_CODEC_FLAG_LOW_DELAY
        pictures: list[VideoFrame] = []
        for frame in self.frames:
            pictures += context.decode(Packet(frame.data))
        return pictures + context.decode(None)

    def picture(self) -> Card:
        """The last picture in RGB."""
        return rgb(self.pictures()[-1])


def rgb(picture: VideoFrame) -> Card:
    """Convert as the picture's own description says, which must be BT.601 in limited range."""
    assert picture.colorspace == SMPTE170M
    assert picture.color_range == LIMITED
    planes = picture.to_ndarray(format="yuv420p")
    height, width = picture.height, picture.width
    luma = planes[:height].astype(float)
    chroma = planes[height:].reshape(2, height // 2, width // 2).astype(float) - 128
    blue, red = (np.repeat(np.repeat(plane, 2, 0), 2, 1) for plane in chroma)
    scaled = (luma - 16) * 255 / 219
    channels = (
        scaled + 1.596 * red,
        scaled - 0.392 * blue - 0.813 * red,
        scaled + 2.017 * blue,
    )
    return np.clip(np.rint(np.stack(channels, -1)), 0, 255).astype(np.uint8)


def mean_error(one: Card, other: Card) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other.astype(int)).mean())
