"""Pictures as JPEG, by the encoder of libavcodec."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

BEST, WORST = 100, 1
"""The range of a JPEG quality."""

_FINEST, _COARSEST = 1, 31
"""libavcodec's quantiser scale."""
_EIGHTHS = 8
"""Its scale counts in eighths of the standard's example tables."""


def quantiser(quality: int) -> int:
    """Return libavcodec's scale for a quality from 1 to 100 as libjpeg counts it (50: the example tables)."""
    quality = max(WORST, min(quality, BEST))
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    return max(_FINEST, min(round(percent * _EIGHTHS / 100), _COARSEST))


def encode_jpeg(picture: VideoFrame, quality: int) -> bytes:
    """Return the picture as JPEG (BT.601, full range). Takes milliseconds: call it on a thread."""
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height = picture.width, picture.height
    encoder.pix_fmt = "yuvj420p"
    encoder.framerate = Fraction(1)
    scale = str(quantiser(quality))
    encoder.options = {"qmin": scale, "qmax": scale, "huffman": "default"}
    full_range = picture.reformat(
        format="yuvj420p", src_colorspace="ITU601", dst_colorspace="ITU601",
        src_color_range="MPEG", dst_color_range="JPEG",
    )  # fmt: skip
    full_range.pts = 0
    packets = [*encoder.encode(full_range), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
