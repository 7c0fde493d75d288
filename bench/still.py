"""What one viewer of a still page costs the server, over the same with capture that never rests.

Ours: damage-driven, nothing encoded on a still screen. The baseline is built here from the same parts (shared
memory, libyuv, x264 with the same settings): it grabs, converts and encodes the whole picture 30 times a
second, changed or not, as screen grabbers without damage do. CPU is user and system time of this process and
of the X server, in percent of one core; medians of interleaved rounds.

Also printed: a page on which somebody types (6 characters a second), and one that scrolls as a whole.
"""

from __future__ import annotations

import asyncio
import json
import select
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing

import click
from prometheus_client import CollectorRegistry

from bench._page import Page
from streamserver.capture.captured_stream import CapturedStream
from streamserver.capture.clock import rtp_time
from streamserver.capture.frames import VIDEO_CLOCK_RATE, EncodedFrame
from streamserver.capture.ladder import Rung
from streamserver.capture.metrics import CaptureMetrics, StreamMetrics
from streamserver.capture.screen_grabber import ScreenGrabber
from streamserver.capture.source import Source
from streamserver.capture.video_engine import VideoEngine, VideoOutlet
from streamserver.capture.worker import Engine, Outlet, Worker
from streamserver.capture.x264 import H264Encoder
from streamserver.capture.yuv import convert_rows

FPS = 30
BITRATE = 2500
SETTLE_SECONDS = 0.7
TYPING_INTERVAL = 1 / 6

Activity = Callable[[Page, float], Awaitable[None]]


def always_on(page: Page, outlet: Outlet) -> Engine:
    """Return the baseline engine: everything, every 1/30 s."""

    def run(worker: Worker) -> None:
        with closing(ScreenGrabber(page.display)) as grabber:
            encoder = H264Encoder(grabber.width & ~1, grabber.height & ~1, FPS, BITRATE)
            due = time.monotonic()
            while not worker.stopping:
                grabber.invalidate()
                for band in grabber.read():
                    picture = encoder.writable_picture()
                    convert_rows(grabber.address, grabber.stride, picture, band)
                now = time.monotonic()
                encoded = encoder.encode(keyframe=False)
                stamp = rtp_time(now, VIDEO_CLOCK_RATE)
                worker.emit(outlet, EncodedFrame(encoded.data, encoded.keyframe, stamp, now))
                grabber.poll()
                due += 1 / FPS
                while not worker.stopping and (left := due - time.monotonic()) > 0:
                    select.select([worker], [], [], left)
                    worker.acknowledge()

    return run


async def rest(page: Page, seconds: float) -> None:
    """Nothing happens."""
    await asyncio.sleep(seconds)


async def typing(page: Page, seconds: float) -> None:
    """Somebody types."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        page.type_glyph()
        await asyncio.sleep(TYPING_INTERVAL)


async def scrolling(page: Page, seconds: float) -> None:
    """The whole page moves with every frame."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        page.scroll()
        await asyncio.sleep(1 / FPS)


async def measure(
    page: Page, engine: Engine, outlet: Outlet, series: StreamMetrics, activity: Activity, seconds: float
) -> dict[str, float]:
    """Run one viewer on one kind of page; return its figures."""
    frames: list[tuple[float, int]] = []

    def viewer(frame: EncodedFrame) -> None:
        frames.append((time.monotonic() - frame.captured_at, len(frame.data)))

    source = Source("bench", engine, [outlet])
    stream = CapturedStream("bench", "video", "h264", source, outlet, series)
    stream.subscribe(viewer)
    await activity(page, SETTLE_SECONDS)
    frames.clear()
    began, own, server = time.monotonic(), time.process_time(), page.server_seconds()
    await activity(page, seconds)
    took = time.monotonic() - began
    own, server = time.process_time() - own, page.server_seconds() - server
    measured = list(frames)
    stream.close()
    await source.close()
    delays = sorted(delay * 1000 for delay, _ in measured) or [0.0]
    return {
        "cpu_percent": (own + server) / took * 100,
        "own_percent": own / took * 100,
        "xserver_percent": server / took * 100,
        "fps": len(measured) / took,
        "kbit_s": sum(size for _, size in measured) * 8 / took / 1000,
        "capture_to_listener_ms_p50": delays[len(delays) // 2],
        "capture_to_listener_ms_p95": delays[int(len(delays) * 0.95)],
    }


CASES = ("still", "typing", "scrolling")


async def compare(
    page: Page, rounds: int, seconds: float, wanted: Sequence[str] = CASES
) -> dict[tuple[str, str], float]:
    """Print every figure of the wanted cases, and return the medians of CPU by case and mode (percent)."""
    metrics = CaptureMetrics(CollectorRegistry())
    series = metrics.stream("main", "h264", "video")
    outlet = Outlet()
    damage: Engine = VideoEngine(page.display, (VideoOutlet(Rung("main", FPS, BITRATE), series, outlet),))
    always = always_on(page, outlet)
    cases: list[tuple[str, str, Engine, Activity]] = [
        ("still", "damage", damage, rest),
        ("still", "always", always, rest),
        ("typing", "damage", damage, typing),
        ("typing", "always", always, typing),
        ("scrolling", "damage", damage, scrolling),
    ]
    results: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds):
        for case, mode, engine, activity in cases:
            if case not in wanted:
                continue
            figures = await measure(page, engine, outlet, series, activity, seconds)
            results.setdefault((case, mode), []).append(figures["cpu_percent"])
            rounded = {name: round(value, 3) for name, value in figures.items()}
            print(json.dumps({"round": number, "case": case, "mode": mode, **rounded}), flush=True)
    medians = {key: statistics.median(values) for key, values in results.items()}
    for (case, mode), value in medians.items():
        print(json.dumps({"median": case, "mode": mode, "cpu_percent": round(value, 3)}))
    return medians


@click.command(help=__doc__)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option(
    "--seconds", default=2.0, show_default=True, type=click.FloatRange(0.2), help="Length of a measurement."
)
@click.option("--width", default=1280, show_default=True)
@click.option("--height", default=720, show_default=True)
def main(rounds: int, seconds: float, width: int, height: int) -> None:
    """Run the benchmark and print its lines."""
    with closing(Page(width, height)) as page:
        medians = asyncio.run(compare(page, rounds, seconds))
    typing_ratio = medians["typing", "damage"] / medians["typing", "always"]
    print(json.dumps({"typing_ratio": round(typing_ratio, 4)}))
    ratio = medians["still", "damage"] / medians["still", "always"]
    print(f"still ratio {ratio:.4f}")


if __name__ == "__main__":
    main()
