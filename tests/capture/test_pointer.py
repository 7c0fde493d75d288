"""The pointer in the picture: for the qualities that show it, and no others."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager

import numpy as np
import psutil
import pytest
from av.video.frame import VideoFrame
from prometheus_client import CollectorRegistry

from streamserver.capture.capture import Capture
from streamserver.capture.pointer import Pointer
from streamserver.capture.screen_grabber import ScreenGrabber
from streamserver.capture.yuv import convert_rows
from streamserver.config.media_settings import CaptureSettings, PipelineSettings, VideoSettings
from tests.capture.viewer import Viewer
from tests.capture.x_screen import XScreen
from tests.waiting import until

RED, GREEN = 0xFF0000, 0x00C000
SIZE = 16


@pytest.fixture
async def capture(screen: XScreen) -> AsyncIterator[Capture]:
    screen.fill(0, 0, screen.width, screen.height, GREEN)
    screen.block_pointer(SIZE, RED)
    screen.point(100, 60)
    pipelines = {
        "main": PipelineSettings(),
        "legacy": PipelineSettings(show_pointer=True),
        "half": PipelineSettings(show_pointer=True, width="width/2"),
    }
    video = VideoSettings(pipelines=pipelines, ids=("main",))
    running = Capture(CaptureSettings(video=video), screen.display, None, CollectorRegistry())
    await running.start()
    yield running
    await running.stop()


def red_area(viewer: Viewer) -> tuple[int, int, int, int] | None:
    """Left, top, width and height of what is red in the last picture."""
    picture = viewer.picture().astype(int)
    rows, columns = np.nonzero((picture[..., 0] > 160) & (picture[..., 1] < 90))
    if not len(rows):
        return None
    left, top = int(columns.min()), int(rows.min())
    return left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1


async def shows(viewer: Viewer, area: tuple[int, int, int, int]) -> None:
    def there() -> bool:
        found = red_area(viewer) if viewer.frames else None
        return found is not None and all(abs(a - b) <= 1 for a, b in zip(found, area, strict=True))

    await until(there, within=5, what=f"the pointer covers {area}")


async def test_it_is_in_the_qualities_that_show_it_and_follows(screen: XScreen, capture: Capture) -> None:
    plain, pointed, half = Viewer(), Viewer(), Viewer()
    for name, viewer in (("main", plain), ("legacy", pointed), ("half", half)):
        capture.videos[name].subscribe(viewer)
    await shows(pointed, (100, 60, SIZE, SIZE))
    await shows(half, (50, 30, SIZE // 2, SIZE // 2))
    await until(lambda: plain.frames, within=5, what="a picture without it")
    assert red_area(plain) is None
    before = len(plain.frames)
    screen.point(304, 212)
    await shows(pointed, (304, 212, SIZE, SIZE))
    await shows(half, (152, 106, SIZE // 2, SIZE // 2))
    assert len(plain.frames) - before <= 1, "what does not show it is not encoded for it"
    screen.block_pointer(2 * SIZE, RED, hot=SIZE)
    await shows(pointed, (304 - SIZE, 212 - SIZE, 2 * SIZE, 2 * SIZE))


async def test_a_pointer_that_rests_costs_next_to_nothing(screen: XScreen, capture: Capture) -> None:
    viewer = Viewer()
    capture.videos["legacy"].subscribe(viewer)
    await shows(viewer, (100, 60, SIZE, SIZE))
    await until(lambda: time.monotonic() - viewer.arrivals[-1] > 0.5, within=10, what="it is quiet")
    before, process = len(viewer.frames), psutil.Process()
    began, used = time.monotonic(), sum(process.cpu_times()[:2])
    with pytest.raises(AssertionError):
        await until(lambda: len(viewer.frames) > before, within=1, what="another picture", exactly=True)
    assert sum(process.cpu_times()[:2]) - used < 0.1 * (time.monotonic() - began)


@contextmanager
def drawing(screen: XScreen) -> Iterator[tuple[Pointer, ScreenGrabber, VideoFrame]]:
    with closing(ScreenGrabber(screen.display)) as grabber, closing(Pointer(screen.display)) as pointer:
        picture = VideoFrame(grabber.width & ~1, grabber.height & ~1, "yuv420p")
        yield pointer, grabber, picture


@pytest.mark.parametrize("hot", [0, 7, SIZE - 1])
def test_it_may_be_anywhere_and_partly_outside(screen: XScreen, hot: int) -> None:
    screen.fill(0, 0, screen.width, screen.height, GREEN)
    screen.block_pointer(SIZE, RED, hot)
    with drawing(screen) as (pointer, grabber, picture):
        for x in (0, 1, 2, 13, screen.width - 2, screen.width - 1):
            for y in (0, 3, 20, screen.height - 1):
                screen.point(x, y)
                assert pointer.moved()
                assert not pointer.moved()
                grabber.invalidate()
                for band in grabber.read():
                    convert_rows(grabber.address, grabber.stride, picture, band)
                pointer.draw(grabber, picture)
                luma = picture.to_ndarray()[: screen.height]
                red = luma < 95  # of green it is 112, of red 81
                rows = slice(max(y - hot, 0), min(y - hot + SIZE, screen.height))
                columns = slice(max(x - hot, 0), min(x - hot + SIZE, screen.width))
                expected = np.zeros_like(red)
                expected[rows, columns] = True
                assert (red == expected).all(), (x, y)
