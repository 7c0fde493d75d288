"""JPEG pictures of the stream, against a real X server, encoder and decoder."""

import asyncio
from collections.abc import AsyncIterator

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from streamserver.capture import stills as stills_module
from streamserver.capture.capture import Capture
from streamserver.capture.errors import NoPictureError
from streamserver.capture.frames import EncodedFrame
from streamserver.capture.jpeg import quantiser
from streamserver.capture.stills import Stills
from streamserver.capture.stream import FrameListener
from streamserver.config.media_settings import CaptureSettings
from tests.capture.x_screen import XScreen
from tests.waiting import until


def pixels(jpeg: bytes) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Return the picture as height x width x RGB."""
    decoder = av.CodecContext.create("mjpeg", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    (frame,) = decoder.decode(av.Packet(jpeg))
    return frame.to_ndarray(format="rgb24").astype(np.uint8)


@pytest.fixture
async def stills(screen: XScreen) -> AsyncIterator[Stills]:
    registry = CollectorRegistry()
    capture = Capture(CaptureSettings(), screen.display, None, registry)
    await capture.start()
    made = Stills(capture.videos["main"], registry)
    yield made
    made.close()
    await capture.stop()


async def test_a_shot_shows_the_screen_and_a_cast_follows_it(screen: XScreen, stills: Stills) -> None:
    card = screen.draw_card(seed=5)
    shot = await stills.shot(90)
    assert shot[:2] == b"\xff\xd8"
    assert shot[-2:] == b"\xff\xd9"
    picture = pixels(shot)
    assert picture.shape == card.shape
    assert np.abs(picture.astype(int) - card).mean() < 6
    worse = await stills.shot(20)
    assert len(worse) < len(shot)
    assert await stills.shot(90) == shot  # nothing changed, nothing is made anew
    screen.fill(0, 0, screen.width, screen.height, 0x2040FF)
    async with asyncio.timeout(5):
        while np.abs(pixels(await stills.cast(60, 0))[:, :, 2].astype(int) - 255).mean() > 8:
            await asyncio.sleep(0.02)


async def test_a_cast_within_the_interval_is_the_same_and_an_unused_one_ends(
    screen: XScreen, stills: Stills, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stills_module, "IDLE_TIMEOUT", 0.5)
    first = await stills.cast(60, 60)
    screen.draw_card(seed=6)
    pictures = await asyncio.gather(*(stills.cast(60, 60) for _ in range(20)))
    assert set(pictures) == {first}
    assert stills._images._value.get() == 1
    await until(lambda: not stills.is_open, within=5, what="nobody listens any more")
    assert await stills.cast(60, 60) != first


async def test_a_new_size_is_followed(screen: XScreen, stills: Stills) -> None:
    assert pixels(await stills.shot(50)).shape[:2] == (screen.height, screen.width)
    screen.resize(800, 608)
    screen.draw_card(seed=7)
    async with asyncio.timeout(5):
        while pixels(await stills.cast(50, 0)).shape[:2] != (608, 800):
            await asyncio.sleep(0.02)


class Silent:
    """A stream by hand."""

    id, kind, codec, bitrate = "main", "video", "h264", 1

    def __init__(self) -> None:
        self.listener: FrameListener | None = None
        self.asked = 0

    def subscribe(self, listener: FrameListener) -> "Silent":
        self.listener = listener
        return self

    def request_keyframe(self) -> None:
        self.asked += 1

    def close(self) -> None:
        self.listener = None


async def test_a_screen_without_pictures_and_one_with_broken_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stills_module, "FIRST_PICTURE_TIMEOUT", 0.05)
    stream = Silent()
    stills = Stills(stream, CollectorRegistry())  # type: ignore[arg-type]
    with pytest.raises(NoPictureError, match="no picture within"):
        await stills.cast(60, 1)
    assert stream.listener is not None
    stream.listener(EncodedFrame(b"\0\0\0\1junk", True, 0, 0.0))
    with pytest.raises(NoPictureError):
        await stills.cast(60, 1)
    for _ in range(stills_module.MAX_WAITING + 2):
        stream.listener(EncodedFrame(b"\0\0\0\1junk", False, 0, 0.0))
    assert len(stills._waiting) <= stills_module.MAX_WAITING
    assert stream.asked
    stills.close()
    assert stream.listener is None


@given(st.integers(-10, 200))
def test_the_quality_becomes_a_scale_the_encoder_knows(quality: int) -> None:
    assert 1 <= quantiser(quality) <= 31
    assert quantiser(quality + 1) <= quantiser(quality)
