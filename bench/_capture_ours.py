"""Captures and encodes a display with the server's own parts, in a process of its own; see `bench.capture`.

Arguments: display, frames a second, kbit/s, file for the stream.
"""

from __future__ import annotations

import asyncio
import sys

from prometheus_client import CollectorRegistry

from bench._capture_report import Report
from streamserver.capture.captured_stream import CapturedStream
from streamserver.capture.ladder import Rung
from streamserver.capture.metrics import CaptureMetrics
from streamserver.capture.source import Source
from streamserver.capture.video_engine import VideoEngine, VideoOutlet
from streamserver.capture.worker import Outlet
from streamserver.desktop.x11 import XDisplay


async def main(display: str, fps: int, bitrate: int, path: str) -> None:
    """Run until it is told to end."""
    report = Report()
    series = CaptureMetrics(CollectorRegistry()).stream("main", "h264", "video")
    outlet = Outlet()
    engine = VideoEngine(
        XDisplay(display, None, None), (VideoOutlet(Rung("main", fps, bitrate), series, outlet),)
    )
    source = Source("bench", engine, [outlet])
    stream = CapturedStream("bench", "video", "h264", source, outlet, series)
    stream.subscribe(lambda frame: report.add(frame.data))
    await asyncio.to_thread(report.follow)
    stream.close()
    await source.close()
    report.write(path)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
