"""The whole way: a real X server, capture thread, encoder, event loop and decoder."""

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import psutil
import pytest
from prometheus_client import CollectorRegistry

from streamserver.capture.capture import Capture
from streamserver.capture.captured_stream import CapturedStream
from streamserver.capture.schedule import KEYFRAME_INTERVAL
from streamserver.config.media_settings import CaptureSettings
from tests.capture.viewer import Viewer, mean_error
from tests.capture.x_screen import XScreen
from tests.waiting import until

LABELS = {"video_id": "main", "codec_name": "h264", "codec_type": "video"}
PIPELINE = {"submodule": "streamsink", **LABELS}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def stream(screen: XScreen, registry: CollectorRegistry) -> AsyncIterator[CapturedStream]:
    capture = Capture(CaptureSettings(), screen.display, None, registry)
    await capture.start()
    main = capture.videos["main"]
    assert isinstance(main, CapturedStream)
    yield main
    await capture.stop()
    assert not capture_threads()


def capture_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("capture-")]


async def quiet(viewer: Viewer, *, seconds: float = 0.4) -> None:
    """Wait for a new frame, and then until none has come for a while."""
    before = len(viewer.frames)
    await until(
        lambda: len(viewer.frames) > before and time.monotonic() - viewer.arrivals[-1] > seconds,
        within=10,
        what="the stream rests",
    )


async def test_a_card_on_the_screen_arrives_as_it_is(screen: XScreen, stream: CapturedStream) -> None:
    viewer = Viewer()
    stream.subscribe(viewer)
    await until(lambda: viewer.frames, within=5, what="the first frame")
    card = screen.draw_card(seed=11)
    await quiet(viewer)
    assert mean_error(viewer.picture(), card) < 8
    screen.fill(64, 64, 96, 96, 0x20C040)
    card[64:160, 64:160] = (0x20, 0xC0, 0x40)
    await quiet(viewer)
    picture = viewer.picture()
    assert mean_error(picture, card) < 8
    assert mean_error(picture[64:160, 64:160], card[64:160, 64:160]) < 8


async def test_a_still_screen_sends_nothing_and_costs_nothing(
    screen: XScreen, stream: CapturedStream
) -> None:
    screen.draw_card(seed=5)
    viewer = Viewer()
    stream.subscribe(viewer)
    await quiet(viewer)
    before, began = len(viewer.frames), time.monotonic()
    threads = {thread.id: thread.user_time + thread.system_time for thread in psutil.Process().threads()}
    native = next(thread.native_id for thread in threading.enumerate() if thread.name == "capture-video")
    await asyncio.sleep(1.0)
    after = {thread.id: thread.user_time + thread.system_time for thread in psutil.Process().threads()}
    assert native is not None
    assert after[native] - threads[native] < 0.02 * (time.monotonic() - began)
    assert len(viewer.frames) == before


async def test_a_new_listener_gets_a_key_frame_of_a_still_screen_at_once(
    screen: XScreen, stream: CapturedStream
) -> None:
    card = screen.draw_card(seed=8)
    early, late = Viewer(), Viewer()
    stream.subscribe(early)
    await quiet(early)
    asked = time.monotonic()
    stream.subscribe(late)
    await quiet(late)
    assert late.arrivals[0] - asked < 0.2
    assert late.frames[0].keyframe
    assert early.frames[-1] is late.frames[-1]
    assert mean_error(late.picture(), card) < 8


async def test_a_key_frame_after_a_rest_is_as_sharp_as_the_first_one(
    screen: XScreen, stream: CapturedStream
) -> None:
    screen.resize(1280, 720)
    screen.draw_card(1, block=8)
    first, late = Viewer(), Viewer()
    stream.subscribe(first)
    await quiet(first, seconds=0.7)  # the refinement of that picture has taken all the bits there were
    stream.subscribe(late)
    await quiet(late)
    assert len(late.frames[0].data) > 0.8 * len(first.frames[0].data)


async def test_requests_share_key_frames(stream: CapturedStream) -> None:
    viewer = Viewer()
    stream.subscribe(viewer)
    await quiet(viewer)
    before = viewer.keyframes
    began = time.monotonic()
    for _ in range(20):
        stream.request_keyframe()
        await asyncio.sleep(0.01)
    turns = 1 + math.ceil((time.monotonic() - began) / KEYFRAME_INTERVAL)
    await quiet(viewer)
    assert 2 <= viewer.keyframes - before <= turns  # one at once, one for those who asked after it
    times = [frame.captured_at for frame in viewer.frames if frame.keyframe]
    assert all(after - first >= KEYFRAME_INTERVAL for first, after in pairwise(times))


async def test_two_listeners_cost_one_encode(
    screen: XScreen, stream: CapturedStream, registry: CollectorRegistry
) -> None:
    one, two = Viewer(), Viewer()
    seats = [stream.subscribe(one), stream.subscribe(two)]
    assert capture_threads() == ["capture-video"]
    assert registry.get_sample_value("neko_capture_streamsink_listeners", LABELS) == 2
    screen.draw_card(seed=2)
    await quiet(one)
    assert [id(frame) for frame in one.frames] == [id(frame) for frame in two.frames]
    assert registry.get_sample_value("catnap_capture_frames_total", LABELS) == len(one.frames)
    size = sum(len(frame.data) for frame in one.frames)
    assert registry.get_sample_value("neko_capture_streamsink_bytes", LABELS) == size
    assert registry.get_sample_value("neko_capture_pipelines_total", PIPELINE) == 1
    assert registry.get_sample_value("neko_capture_pipelines_active", PIPELINE) == 1
    for seat in seats:
        seat.close()
    await until(lambda: not capture_threads(), within=5, what="the capture thread ends")
    assert registry.get_sample_value("neko_capture_pipelines_active", PIPELINE) == 0


async def test_it_starts_again_after_the_last_listener_left(screen: XScreen, stream: CapturedStream) -> None:
    for seed in range(3):
        card = screen.draw_card(seed)
        viewer = Viewer()
        seat = stream.subscribe(viewer)
        await quiet(viewer)
        assert viewer.frames[0].keyframe
        assert mean_error(viewer.picture(), card) < 8
        seat.close()


async def test_a_new_size_begins_with_a_key_frame(screen: XScreen, stream: CapturedStream) -> None:
    viewer = Viewer()
    stream.subscribe(viewer)
    await quiet(viewer)
    screen.resize(800, 601)
    card = screen.draw_card(seed=4)
    await quiet(viewer)
    sizes = [(picture.width, picture.height) for picture in viewer.pictures()]
    assert sizes[0] == (640, 480)
    assert sizes[-1] == (800, 600)
    assert viewer.frames[sizes.index((800, 600))].keyframe
    assert mean_error(viewer.picture(), card[:600]) < 8


@pytest.mark.alone
async def test_motion_keeps_to_the_frame_rate_and_real_time(screen: XScreen, stream: CapturedStream) -> None:
    viewer = Viewer()
    stream.subscribe(viewer)
    await until(lambda: viewer.frames, within=5, what="the first frame")
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        screen.fill(0, 0, 640, 200, int(time.monotonic() * 1e6) & 0xFFFFFF)
        await asyncio.sleep(0.004)
    rate = sum(began <= frame.captured_at < began + 1.5 for frame in viewer.frames) / 1.5
    assert 20 < rate <= 31
    for before, after in pairwise(viewer.frames):
        ticks = (after.rtp_time - before.rtp_time) % 2**32
        assert abs(ticks / 90_000 - (after.captured_at - before.captured_at)) < 0.001


@pytest.mark.alone
async def test_whole_pages_in_motion_keep_to_the_bit_rate_without_key_frames(
    screen: XScreen, stream: CapturedStream
) -> None:
    viewer = Viewer()
    stream.subscribe(viewer)
    await until(lambda: viewer.frames, within=5, what="the first frame")
    before, began, seed = len(viewer.frames), time.monotonic(), 0
    while time.monotonic() - began < 2.0:
        screen.draw_card(seed := seed + 1, block=20)
        await asyncio.sleep(0.02)
    moving = viewer.frames[before:]
    assert sum(len(frame.data) for frame in moving) * 8 < 2_500_000 * 2.0 * 1.1 + 1_000_000
    assert not any(frame.keyframe for frame in moving)


async def test_an_event_loop_that_is_behind_gets_fewer_pictures_and_then_the_newest(
    screen: XScreen, stream: CapturedStream
) -> None:
    viewer = Viewer()
    stream.subscribe(viewer)
    await quiet(viewer)
    before = len(viewer.frames)
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:  # the loop stands still meanwhile, on purpose
        screen.fill(0, 0, 640, 480, int(time.monotonic() * 1e6) & 0xFFFFFF)
        time.sleep(0.01)
    card = screen.draw_card(seed=6)
    await asyncio.sleep(0)
    assert len(viewer.frames) - before <= 8
    await quiet(viewer)
    assert mean_error(viewer.picture(), card) < 8


async def test_listeners_survive_the_x_server(registry: CollectorRegistry, screen: XScreen) -> None:
    capture = Capture(CaptureSettings(), screen.display, None, registry)
    stream, viewer = capture.videos["main"], Viewer()
    seat = stream.subscribe(viewer)
    await until(lambda: viewer.frames, within=5, what="the first frame")
    screen.kill()
    failures = "catnap_capture_failures_total"
    await until(
        lambda: (registry.get_sample_value(failures, LABELS) or 0) >= 2, within=5, what="it is tried again"
    )
    before = len(viewer.frames)
    screen.restart()
    card = screen.draw_card(seed=9)
    await quiet(viewer)
    assert viewer.frames[before].keyframe
    assert mean_error(viewer.picture(), card) < 8
    seat.close()
    await capture.stop()


async def test_a_closed_stream_delivers_nothing(stream: CapturedStream) -> None:
    viewer = Viewer()
    stream.subscribe(viewer)
    await until(lambda: viewer.frames, within=5, what="the first frame")
    stream.close()
    before = len(viewer.frames)
    late = Viewer()
    stream.subscribe(late)
    stream.request_keyframe()
    await asyncio.sleep(0.1)
    assert len(viewer.frames) == before
    assert late.frames == []
    assert not stream.is_capturing
