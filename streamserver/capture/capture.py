"""The streams of this server."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from streamserver.config.media_settings import CaptureSettings
from streamserver.desktop.x11 import XDisplay

from .audio_engine import AudioEngine
from .captured_stream import CapturedStream
from .clock import MachinePauses
from .metrics import CaptureMetrics
from .pulse_source import SoundServer
from .stream import MediaStream
from .video_engine import VideoEngine
from .yuv import load_libyuv

MAIN = "main"
"""Id of the one video stream."""

AUDIO = "audio"
"""Id of the audio stream."""


class Capture:
    """Builds the streams from the settings.

    Attributes:
        videos: the video streams by id, best first; one, `main`, for now.
        audio: the audio stream, or None when there is no sound server.
    """

    def __init__(
        self,
        settings: CaptureSettings,
        display: XDisplay,
        sound: SoundServer | None,
        registry: CollectorRegistry,
    ) -> None:
        metrics = CaptureMetrics(registry)
        video = settings.video
        if video.display:
            display = XDisplay(video.display, display.xauthority, display.owner)
        series = metrics.stream(MAIN, "h264", "video")
        pauses = MachinePauses()
        engine = VideoEngine(display, video.fps, video.bitrate, series, pauses)
        self._streams = [CapturedStream(MAIN, "video", "h264", engine, series)]
        self.videos: dict[str, MediaStream] = {MAIN: self._streams[0]}
        self.audio: MediaStream | None = None
        if sound is not None:
            series = metrics.stream(AUDIO, "opus", "audio")
            source = settings.audio.device or sound.source
            recorder = AudioEngine(sound, source, settings.audio.bitrate, series, pauses)
            stream = CapturedStream(AUDIO, "audio", "opus", recorder, series)
            self._streams.append(stream)
            self.audio = stream

    async def start(self) -> None:
        """Check that everything is there; raises `CaptureError` when the colour converter is missing.

        Nothing is captured until somebody listens.
        """
        await asyncio.to_thread(load_libyuv)

    async def stop(self) -> None:
        """End every capture and wait until its thread has ended. Safe to call again."""
        for stream in self._streams:
            await stream.close()
