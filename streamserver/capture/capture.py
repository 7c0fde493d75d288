"""The streams of this server."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from streamserver.config.media_settings import CaptureSettings
from streamserver.desktop.x11 import XDisplay

from .audio_engine import AudioEngine
from .captured_stream import CapturedStream
from .clock import MachinePauses
from .ladder import NOMINAL, build_ladder
from .metrics import CaptureMetrics
from .pulse_source import SoundServer
from .source import Source
from .stream import MediaStream
from .video_engine import VideoEngine, VideoOutlet
from .worker import Outlet
from .yuv import load_libyuv

AUDIO = "audio"
"""Id of the audio stream."""


class Capture:
    """Builds the streams from the settings.

    Attributes:
        videos: the video streams by id; all are encodes of one capture of the screen.
        video_ids: the ids to choose among, best first; the others are had by name only.
        picture: the stream that everybody gets who does not choose: what stills and broadcasts are made of.
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
        pauses = MachinePauses()
        if settings.video.display:
            display = XDisplay(settings.video.display, display.xauthority, display.owner)
        ladder = build_ladder(settings.video)
        self.video_ids: tuple[str, ...] = ladder.order
        outlets = tuple(
            VideoOutlet(
                rung, metrics.stream(rung.id, "h264", "video"), Outlet(rung.at(*NOMINAL).bitrate * 1000)
            )
            for rung in ladder.rungs.values()
        )
        screen = Source(
            "video",
            VideoEngine(display, outlets, pauses),
            [one.outlet for one in outlets],
            broke=lambda: _count_failure(outlets),
        )
        self._sources = [screen]
        self._streams = [
            CapturedStream(one.rung.id, "video", "h264", screen, one.outlet, one.metrics) for one in outlets
        ]
        self.videos: dict[str, MediaStream] = {stream.id: stream for stream in self._streams}
        self.picture = self.videos[self.video_ids[0]]
        self.audio: MediaStream | None = None
        if sound is not None:
            series = metrics.stream(AUDIO, "opus", "audio")
            outlet = Outlet(settings.audio.bitrate * 1000)
            device = settings.audio.device or sound.source
            recorder = AudioEngine(sound, device, settings.audio.bitrate, outlet, series, pauses)
            source = Source("audio", recorder, [outlet], broke=series.failures.inc)
            self._sources.append(source)
            self._streams.append(CapturedStream(AUDIO, "audio", "opus", source, outlet, series))
            self.audio = self._streams[-1]

    async def start(self) -> None:
        """Check that everything is there; raises `CaptureError` when the colour converter is missing.

        Nothing is captured until somebody listens.
        """
        await asyncio.to_thread(load_libyuv)

    async def stop(self) -> None:
        """End every capture and wait until its thread has ended. Safe to call again."""
        for stream in self._streams:
            stream.close()
        for source in self._sources:
            await source.close()


def _count_failure(outlets: tuple[VideoOutlet, ...]) -> None:
    for one in outlets:
        if one.outlet.wanted:
            one.metrics.failures.inc()
