"""The Opus encoder: libopus through PyAV."""

from __future__ import annotations

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame

from .clock import OPUS_FRAME_SAMPLES, OPUS_FRAME_SECONDS
from .errors import CaptureError
from .frames import AUDIO_CLOCK_RATE


class OpusEncoder:
    """Encodes stereo sound in packets of `OPUS_FRAME_SECONDS` at up to `bitrate` kbit/s (variable).

    Not thread-safe. `lowdelay` leaves out the speech mode, which is not used at such rates anyhow, and its
    4 ms of look-ahead.
    """

    def __init__(self, bitrate: int) -> None:
        """Open the encoder; raises `CaptureError`."""
        try:
            context = av.CodecContext.create("libopus", "w")
            assert isinstance(context, AudioCodecContext)
            context.sample_rate = AUDIO_CLOCK_RATE
            context.format = "s16"
            context.layout = "stereo"
            context.bit_rate = bitrate * 1000
            context.options = {"application": "lowdelay", "vbr": "on"}
            context.options |= {"frame_duration": f"{OPUS_FRAME_SECONDS * 1000:g}"}
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise CaptureError(f"libopus refuses {bitrate} kbit/s: {error}") from error
        self._context = context
        self._samples = 0

    def encode(self, chunk: bytes) -> bytes:
        """Return the packet for so much 48 kHz stereo in 16-bit samples (`CHUNK_BYTES` long)."""
        frame = AudioFrame(format="s16", layout="stereo", samples=OPUS_FRAME_SAMPLES)
        frame.sample_rate = AUDIO_CLOCK_RATE
        frame.pts = self._samples
        frame.planes[0].update(chunk)
        self._samples += OPUS_FRAME_SAMPLES
        try:
            packets = self._context.encode(frame)
        except av.FFmpegError as error:
            raise CaptureError(f"libopus failed: {error}") from error
        if len(packets) != 1:
            raise CaptureError(f"libopus gave {len(packets)} packets for one chunk")
        return bytes(packets[0])
