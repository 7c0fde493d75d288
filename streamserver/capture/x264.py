"""The H.264 encoder: x264 through PyAV, set for a screen that is watched live."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from .errors import CaptureError

PROFILE_LEVEL_ID = "42e01f"
"""What to say in SDP (RFC 6184 §8.1): constrained baseline, level 3.1, with level-asymmetry-allowed=1.

The stream's own headers carry the lowest level that fits the picture (3.1 for 1280x720 at 30, 4.0 for
1920x1080 at 30, 5.1 for 3840x2160): browsers match the profile when they negotiate, and decode by the
headers.
"""

RATE_FACTOR = 22
"""x264's constant rate factor: the quality of a picture when the bit rate is no limit. Lower is better."""

FINEST_QUANTISER = 18
"""Quality beyond which no bits are spent (50 dB for text).

Without it x264 polishes what rests with every picture: a typed character then takes 1250 bytes instead of 80.
"""

SETTLED_PSNR = 42.0
"""dB: a picture further from the screen than this is worth encoding again when the screen rests.

The quantiser would not tell: a picture of text that hits the bit rate's ceiling has sharp upper rows and
blurred lower ones, at a mean quantiser that looks fine.
"""

VBV_SECONDS = 0.4
"""How much of the bit rate one burst may use, seconds: what a key frame may cost in delay on a full link."""

FULL_ALLOWANCE = 0.9
"""x264's own share."""

_BT601 = 6  # AVCOL_SPC_SMPTE170M, and the same number for its primaries and its transfer curve
_LIMITED = 1  # AVCOL_RANGE_MPEG
_MEASURE_PSNR = 1 << 15  # AV_CODEC_FLAG_PSNR: x264 compares output with input, 0.06 ms
_STATISTICS = struct.Struct("<IBBH")  # head of AV_PKT_DATA_QUALITY_STATS
_PEAK = 255


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """One Annex-B access unit, whether it is an IDR, and how near its luma is to the screen's (PSNR, dB)."""

    data: bytes
    keyframe: bool
    psnr: float


class H264Encoder:
    """Encodes pictures of one size. Not thread-safe; releases the GIL while it encodes.

    The caller changes `writable_picture()` in place and calls `encode`: what has not changed since the
    last picture need not be written again. Encoders of one size can share a `picture`.

    Chosen: `ultrafast` + `zerolatency` (no B-frames, no look-ahead, so every picture comes out at once),
    constrained baseline, one slice and one thread, infinite GOP with IDRs on demand, SPS and PPS with each
    IDR; no search for blocks whose few coefficients could be left out (a sixth of the time for 0.15 dB).
    Rate: constant quality under a ceiling of `bitrate` kbit/s (VBV), so that a quiet page takes few
    bits and motion no more than allowed. Time stamps given to x264 are a frame counter: with variable ones
    it holds back the newest picture.
    """

    def __init__(
        self,
        width: int,
        height: int,
        fps: float,
        bitrate: int,
        picture: VideoFrame | None = None,
        *,
        allowance: float = FULL_ALLOWANCE,
    ) -> None:
        """Open it for an even size in px, `fps` at most and `bitrate` kbit/s; raises `CaptureError`.

        `picture`: one of that size, in I420, to encode; None: one of its own. `allowance`: share of the burst
        (`VBV_SECONDS`) that the first key frame may use.
        """
        self.size = (width, height)
        self._fps = fps
        self._rate = Fraction(fps).limit_denominator(1001)
        self._bitrate = bitrate
        self._picture = picture or VideoFrame(width, height, "yuv420p")
        self.restart(allowance)

    def restart(self, allowance: float = FULL_ALLOWANCE, rate: float | None = None) -> None:
        """Begin anew with the same picture: the next one is a key frame and may use that share of a burst.

        `rate`: how many pictures a second to expect from now on; None: as many as before. Costs 3 ms. Raises
        `CaptureError`.
        """
        if rate is not None:
            self._rate = Fraction(rate).limit_denominator(1001)
        width, height = self.size
        bitrate = self._bitrate
        try:
            context = av.CodecContext.create("libx264", "w")
            assert isinstance(context, VideoCodecContext)
            context.width, context.height, context.pix_fmt = width, height, "yuv420p"
            context.framerate, context.time_base = self._rate, 1 / self._rate
            context.thread_count = 1
            context.max_b_frames = 0
            context.flags |= _MEASURE_PSNR
            context.color_range, context.colorspace = _LIMITED, _BT601
            context.color_primaries, context.color_trc = _BT601, _BT601
            context.options = {
                "preset": "ultrafast",
                "tune": "zerolatency",
                "profile": "baseline",
                "forced-idr": "1",
                "crf": str(RATE_FACTOR),
                "qmin": str(FINEST_QUANTISER),
                "maxrate": f"{bitrate}k",
                "bufsize": f"{round(bitrate * VBV_SECONDS)}k",
                "x264-params": "keyint=infinite:scenecut=0:repeat-headers=1:annexb=1:aud=0:sliced-threads=0"
                f":no-dct-decimate=1:vbv-init={allowance}",
            }
            context.open()
        except (av.FFmpegError, ValueError) as error:
            what = f"{width}x{height} at {self._fps} fps and {bitrate} kbit/s"
            raise CaptureError(f"x264 refuses {what}: {error}") from error
        self._context = context
        self._count = 0

    def writable_picture(self) -> VideoFrame:
        """Return the picture to change.

        Were the encoder still holding its memory, it would be copied first; x264 without look-ahead does not
        (a test watches the address).
        """
        self._picture.make_writable()
        return self._picture

    def encode(self, *, keyframe: bool) -> EncodedPicture:
        """Encode the picture as it is now. Raises `CaptureError` when the encoder fails."""
        picture = self._picture
        picture.pts, picture.time_base = self._count, 1 / self._rate
        picture.pict_type = PictureType.I if keyframe else PictureType.NONE
        try:
            packets = self._context.encode(picture)
        except av.FFmpegError as error:
            raise CaptureError(f"x264 failed at picture {self._count}: {error}") from error
        if len(packets) != 1:
            raise CaptureError(f"x264 gave {len(packets)} access units for picture {self._count}, not one")
        self._count += 1
        packet = packets[0]
        return EncodedPicture(bytes(packet), packet.is_keyframe, self._psnr(packet))

    def _psnr(self, packet: Packet[VideoStream]) -> float:
        statistics = bytes(packet.get_sidedata("quality_stats"))
        if len(statistics) < _STATISTICS.size + 8:  # this libavcodec does not say: take the picture as good
            return math.inf
        (squared_error,) = struct.unpack_from("<Q", statistics, _STATISTICS.size)
        width, height = self.size
        return 10 * math.log10(_PEAK**2 * width * height / max(squared_error, 1))
