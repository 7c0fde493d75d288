"""One quality of the picture: when it is encoded, and by what."""

from __future__ import annotations

from av.video.frame import VideoFrame

from .bit_budget import BitBudget
from .ladder import Encoding
from .schedule import VideoSchedule
from .x264 import FULL_ALLOWANCE, SETTLED_PSNR, VBV_SECONDS, EncodedPicture, H264Encoder
from .yuv import scale

LARGE = 0.5
"""Share of the rows from which on a change is worth a fresh allowance."""


MODEST_ALLOWANCE = 0.35
"""Share of a burst that the first key frame may use of a quality that begins beside others."""


class RungEncoder:
    """Follows what changed since its last picture, and encodes. Used in the capture thread.

    `schedule`: when the next picture is due.
    """

    def __init__(self, encoding: Encoding, *, modest: bool = False) -> None:
        """`modest`: begin with a small key frame, for viewers that come from another quality: one that takes
        0.4 s on their link would stop the picture for as long. It becomes sharp with the pictures after it.
        """
        self.schedule = VideoSchedule(encoding.fps, SETTLED_PSNR)
        self._encoding = encoding
        self._budget = BitBudget(encoding.bitrate * 1000, encoding.fps, VBV_SECONDS)
        self._allowance = MODEST_ALLOWANCE if modest else FULL_ALLOWANCE
        self._encoder: H264Encoder | None = None
        self._source: VideoFrame | None = None
        self._changed = 0.0

    def picture_changed(self, share: float) -> None:
        """Note that this share of the rows is new (0 to 1)."""
        self._changed += share
        self.schedule.screen_changed()

    def nothing_new(self) -> None:
        """Note that the change which was announced cannot be seen."""
        if not self._changed:
            self.schedule.screen_unchanged()

    def encode(self, picture: VideoFrame, now: float) -> EncodedPicture | None:
        """Encode the picture at `now` (seconds of `time.monotonic`), or None when it is not due after all.

        Raises:
            CaptureError: the encoder fails.
        """
        step = self.schedule.next(now)
        if not step.encode:
            return None
        if self._changed:
            self._budget.changed(now)
        encoder = self._encoder_of(picture)
        if encoder.size != (picture.width, picture.height):
            scale(picture, encoder.writable_picture())
        if (step.keyframe or self._changed > LARGE) and self._budget.is_outdated(now):
            self._restart(encoder, FULL_ALLOWANCE, self._budget.pace)
        elif self._budget.is_overdrawn:
            self._restart(encoder, MODEST_ALLOWANCE, self._encoding.fps)
        encoded = encoder.encode(keyframe=step.keyframe)
        self._changed = 0.0
        self._budget.spend(len(encoded.data), now)
        self.schedule.encoded(now, keyframe=encoded.keyframe, psnr=encoded.psnr)
        return encoded

    def _restart(self, encoder: H264Encoder, allowance: float, rate: float) -> None:
        """Let the encoder begin anew, with the right idea of what it may use."""
        encoder.restart(allowance, rate)
        self._budget.restarted(rate, allowance)
        self.schedule.refinement_interval = 1 / rate

    def _encoder_of(self, picture: VideoFrame) -> H264Encoder:
        if self._encoder is None or self._source is not picture:
            width, height, rate = self._encoding.width, self._encoding.height, self._encoding.fps
            shared = picture if (picture.width, picture.height) == (width, height) else None
            self._encoder = H264Encoder(
                width, height, rate, self._encoding.bitrate, shared, allowance=self._allowance
            )
            self._source = picture
            self._budget.restarted(rate, self._allowance)
            self.schedule.refinement_interval = 1 / rate
        return self._encoder
