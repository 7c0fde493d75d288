"""Encoded video and sound as FLV over RTMP; the video is passed on untouched."""

from __future__ import annotations

import contextlib
import io
from fractions import Fraction

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from .frames import AUDIO_CLOCK_RATE, EncodedFrame

SILENCE_AFTER = 0.3
"""Seconds without sound after which there is silence: what comes later than that comes too late."""

_MILLISECONDS = Fraction(1, 1000)
_AAC_SAMPLES = 1024
_SPS, _PPS = 7, 8


def parameter_sets(data: bytes) -> bytes:
    """Return sequence and picture parameter sets of an Annex-B access unit (H.264 7.4.1)."""
    kept = b""
    for unit in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]:
        if unit and unit[0] & 0x1F in (_SPS, _PPS):
            kept += b"\0\0\0\1" + unit.rstrip(b"\0")
    return kept


class FlvMuxer:
    """One connection to an RTMP server. Blocks: used by one thread; raises `av.FFmpegError` and OSError.

    Time begins with the first picture.
    """

    def __init__(self, url: str, first: EncodedFrame, audio_bitrate: int | None, timeout: float) -> None:
        """Connect; `first` is a key frame, `audio_bitrate` in kbit/s, None: no sound."""
        self._start = first.captured_at
        self._last = -1
        self._samples = 0
        self._encoder: AudioCodecContext | None = None
        self._container: OutputContainer = av.open(
            url, "w", format="flv", timeout=timeout,
            options={"flvflags": "no_duration_filesize"},
            container_options={"rw_timeout": str(round(timeout * 1e6))},
        )  # fmt: skip
        try:
            # what a demuxer finds in a stream that consists of this picture alone: size, profile, headers
            with av.open(io.BytesIO(first.data), format="h264") as alone:
                self._video = self._container.add_stream_from_template(alone.streams.video[0], opaque=True)
            self._video.time_base = _MILLISECONDS
            if audio_bitrate is not None:
                stream = self._container.add_stream("aac", rate=AUDIO_CLOCK_RATE)
                assert isinstance(stream, AudioStream)
                self._audio = stream
                self._encoder = stream.codec_context
                self._encoder.bit_rate = audio_bitrate * 1000
                self._encoder.layout = "stereo"
                self._resampler = AudioResampler(
                    self._encoder.format, "stereo", AUDIO_CLOCK_RATE, _AAC_SAMPLES
                )
                decoder = av.CodecContext.create("libopus", "r")
                assert isinstance(decoder, AudioCodecContext)
                self._decoder = decoder
            self._container.start_encoding()
        except BaseException:
            self.close()
            raise

    def video(self, frame: EncodedFrame) -> None:
        """Send a picture."""
        moment = max(self._last + 1, round((frame.captured_at - self._start) * 1000))
        self._last = moment
        packet = Packet(frame.data)
        packet.stream = self._video
        packet.time_base = _MILLISECONDS
        packet.pts = packet.dts = moment
        packet.is_keyframe = frame.keyframe
        self._container.mux(packet)

    def audio(self, frame: EncodedFrame) -> None:
        """Send a packet of sound that came as Opus."""
        if self._encoder is None:
            return
        self._silence_until(frame.captured_at)
        for decoded in self._decoder.decode(Packet(frame.data)):
            self._encode(decoded)

    def fill(self, now: float) -> None:
        """Send silence for the time up to a moment ago in which no sound came: players wait for both."""
        if self._encoder is not None:
            self._silence_until(now - SILENCE_AFTER)

    def close(self) -> None:
        """Say goodbye, if the server still listens."""
        with contextlib.suppress(av.FFmpegError, OSError, ValueError):
            self._container.close()

    def _silence_until(self, moment: float) -> None:
        missing = round((moment - self._start) * AUDIO_CLOCK_RATE) - self._samples
        while missing >= _AAC_SAMPLES * 2:
            silence = av.AudioFrame(format="s16", layout="stereo", samples=_AAC_SAMPLES)
            silence.planes[0].update(bytes(silence.planes[0].buffer_size))
            silence.sample_rate = AUDIO_CLOCK_RATE
            self._encode(silence)
            missing -= _AAC_SAMPLES

    def _encode(self, frame: av.AudioFrame) -> None:
        assert self._encoder is not None
        frame.pts = self._samples
        frame.time_base = Fraction(1, AUDIO_CLOCK_RATE)
        self._samples += frame.samples
        for whole in self._resampler.resample(frame):
            for packet in self._encoder.encode(whole):
                packet.stream = self._audio
                self._container.mux(packet)
