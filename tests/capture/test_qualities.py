"""Several encodes of one screen: a real X server, one capture thread, an encoder for each quality."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from streamserver.capture.capture import Capture
from streamserver.config.media_settings import CaptureSettings, PipelineSettings, VideoSettings
from tests.capture.viewer import Viewer, mean_error
from tests.capture.x_screen import XScreen
from tests.waiting import until

PIPELINES = {
    "main": PipelineSettings(),
    "slow": PipelineSettings(fps="fps/5", bitrate=1000),
    "small": PipelineSettings(width="width/2", bitrate=400),
}


@pytest.fixture
async def capture(screen: XScreen) -> AsyncIterator[Capture]:
    settings = CaptureSettings(video=VideoSettings(pipelines=PIPELINES))
    one = Capture(settings, screen.display, None, CollectorRegistry())
    await one.start()
    yield one
    await one.stop()


def test_stills_and_broadcasts_are_of_the_default_quality(screen: XScreen) -> None:
    video = VideoSettings(pipelines=PIPELINES, ids=("small", "main"))
    capture = Capture(CaptureSettings(video=video), screen.display, None, CollectorRegistry())
    assert capture.video_ids == ("small", "main")
    assert capture.picture is capture.videos["small"]


def watch(capture: Capture, name: str) -> Viewer:
    viewer = Viewer()
    capture.videos[name].subscribe(viewer)
    return viewer


async def rest(*viewers: Viewer) -> None:
    """Wait for new frames of each, and then until none has come for a while."""
    before = [len(viewer.frames) for viewer in viewers]
    await until(
        lambda: all(
            len(viewer.frames) > was and time.monotonic() - viewer.arrivals[-1] > 0.5
            for viewer, was in zip(viewers, before, strict=True)
        ),
        within=15,
        what="the streams rest",
    )


async def test_all_show_the_same_screen_in_their_own_size_and_rate(screen: XScreen, capture: Capture) -> None:
    main, slow, small = (watch(capture, name) for name in PIPELINES)
    await rest(main, slow, small)
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("capture-")]
    assert threads == ["capture-video"]
    before = [len(viewer.frames) for viewer in (main, slow, small)]
    end = time.monotonic() + 2.0
    shade = 0
    while time.monotonic() < end:
        shade += 1
        screen.fill(0, 0, 640, 480, shade % 256 * 0x010101)
        await asyncio.sleep(0.01)
    counts = [len(viewer.frames) - was for viewer, was in zip((main, slow, small), before, strict=True)]
    assert counts[0] > 2 * counts[1], "a fifth of the rate"
    assert counts[2] > 2 * counts[1]
    card = screen.draw_card(seed=3)
    await rest(main, slow, small)
    assert mean_error(main.picture(), card) < 8
    assert mean_error(slow.picture(), card) < 8
    small_card = card.reshape(240, 2, 320, 2, 3).mean((1, 3)).astype("uint8")
    assert mean_error(small.picture(), small_card) < 10
    stamps = sorted(frame.rtp_time for viewer in (main, slow, small) for frame in viewer.frames)
    assert len(set(stamps)) == len(stamps), "changing from one to another, time goes on"


async def test_an_encoder_runs_only_while_somebody_is_on_it(screen: XScreen, capture: Capture) -> None:
    main, small = watch(capture, "main"), Viewer()
    seat = capture.videos["small"].subscribe(small)
    await rest(main, small)
    seat.close()
    count = len(small.frames)
    screen.draw_card(seed=4)
    await rest(main)
    assert len(small.frames) == count
    # who comes to a quality that rests gets the present picture at once, though the screen is still
    late = watch(capture, "small")
    await until(lambda: late.frames, within=2, what="a key frame")
    assert late.frames[0].keyframe


async def test_all_follow_the_size_of_the_screen(screen: XScreen, capture: Capture) -> None:
    main, small = watch(capture, "main"), watch(capture, "small")
    await rest(main, small)
    screen.resize(800, 600)
    card = screen.draw_card(seed=5)
    await rest(main, small)
    assert mean_error(main.picture(), card) < 8
    assert small.picture().shape == (300, 400, 3)


def test_what_a_stream_may_use_is_known_before_it_runs(capture: Capture) -> None:
    streams = {name: stream.bitrate for name, stream in capture.videos.items()}
    assert streams == {"main": 2_500_000, "slow": 1_000_000, "small": 400_000, "legacy": 2_500_000}
    assert capture.video_ids == ("main", "slow", "small")


@pytest.mark.alone
async def test_sixty_pictures_a_second_when_asked(screen: XScreen) -> None:
    settings = CaptureSettings(video=VideoSettings(fps=60))
    capture = Capture(settings, screen.display, None, CollectorRegistry())
    await capture.start()
    viewer = watch(capture, "main")
    await until(lambda: viewer.frames, within=5, what="the first picture")
    before, began, shade = len(viewer.frames), time.monotonic(), 0
    while time.monotonic() < began + 2.0:
        shade += 1
        screen.fill(0, 0, 64, 64, shade % 256 * 0x010101)
        await asyncio.sleep(0.004)
    rate = (len(viewer.frames) - before) / (time.monotonic() - began)
    await capture.stop()
    assert 45 < rate < 63, "more than 30, and no more than asked for"
