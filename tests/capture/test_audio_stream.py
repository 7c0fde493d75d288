"""The whole way of the sound: real PulseAudio, parec, encoder, event loop and decoder."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet
from prometheus_client import CollectorRegistry

from streamserver.capture.capture import Capture
from streamserver.capture.captured_stream import CapturedStream
from streamserver.capture.clock import OPUS_FRAME_SAMPLES
from streamserver.capture.frames import AUDIO_CLOCK_RATE, EncodedFrame
from streamserver.config.media_settings import AudioSettings, CaptureSettings
from streamserver.desktop.x11 import XDisplay
from tests.capture.sound_server import RATE, Sound, sound_server, tone
from tests.capture.viewer import Viewer
from tests.waiting import until

NO_DISPLAY = XDisplay(":9", None, None)
FAILURES = "catnap_capture_failures_total"
LABELS = {"video_id": "audio", "codec_name": "opus", "codec_type": "audio"}


@pytest.fixture(scope="module")
def sound() -> Iterator[Sound]:
    with sound_server() as one:
        yield one


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def stream(sound: Sound, registry: CollectorRegistry) -> AsyncIterator[CapturedStream]:
    capture = Capture(CaptureSettings(), NO_DISPLAY, sound, registry)
    assert isinstance(capture.audio, CapturedStream)
    yield capture.audio
    await capture.stop()
    assert sound.recorders() == []


def samples(frames: list[EncodedFrame]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Decode to samples x 2, in -1..1."""
    context = av.CodecContext.create("libopus", "r")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout = AUDIO_CLOCK_RATE, "stereo"
    decoded = [part for frame in frames for part in context.decode(Packet(frame.data))]
    return np.concatenate([part.to_ndarray().reshape(-1, 2) for part in decoded]) / 32768


async def test_a_tone_can_be_heard(sound: Sound, stream: CapturedStream) -> None:
    viewer = Viewer()
    stream.subscribe(viewer)
    await until(lambda: viewer.frames, within=5, what="the first packet")
    sound.play(tone(880, 2.0))
    await until(lambda: len(viewer.frames) > 90, within=10, what="the tone has played for a while")
    heard = samples(viewer.frames)[:, 0]
    loud = heard[np.abs(heard) > 0.1]
    assert loud.size > RATE / 2
    last_second = heard[-RATE // 2 :]
    peak = np.argmax(np.abs(np.fft.rfft(last_second * np.hanning(last_second.size))))
    assert abs(peak * RATE / last_second.size - 880) < 5
    steady = viewer.frames[-30:]
    assert {(after.rtp_time - before.rtp_time) % 2**32 for before, after in pairwise(steady)} == {
        OPUS_FRAME_SAMPLES
    }
    assert all(frame.keyframe for frame in viewer.frames)


async def test_silence_stops_the_packets_and_sound_brings_them_back(
    sound: Sound, stream: CapturedStream
) -> None:
    viewer = Viewer()
    stream.subscribe(viewer)
    sound.play(tone(440, 0.5))
    await until(
        lambda: viewer.arrivals and time.monotonic() - viewer.arrivals[-1] > 0.8,
        within=10,
        what="the packets stop",
    )
    before = len(viewer.frames)
    sound.play(tone(440, 0.5))
    await until(lambda: len(viewer.frames) > before + 10, within=5, what="the packets come back")
    last, first = viewer.frames[before - 1], viewer.frames[before]
    gap = ((first.rtp_time - last.rtp_time) % 2**32) / AUDIO_CLOCK_RATE
    assert gap > 0.7
    assert abs(gap - (first.captured_at - last.captured_at)) < 0.001


async def test_a_new_listener_gets_packets_even_in_silence(stream: CapturedStream) -> None:
    early, late = Viewer(), Viewer()
    stream.subscribe(early)
    await until(
        lambda: early.arrivals and time.monotonic() - early.arrivals[-1] > 0.3, within=5, what="silence"
    )
    stream.subscribe(late)
    await until(lambda: len(late.frames) >= 5, within=2, what="the late listener's packets")


async def test_it_records_only_while_somebody_listens(sound: Sound, stream: CapturedStream) -> None:
    assert sound.recorders() == []
    seats = [stream.subscribe(Viewer()), stream.subscribe(Viewer())]
    await until(lambda: len(sound.recorders()) == 1, within=5, what="one recorder")
    for seat in seats:
        seat.close()
    await until(lambda: not sound.recorders(), within=5, what="the recorder ends")


async def test_a_recorder_that_dies_is_started_again(
    sound: Sound, stream: CapturedStream, registry: CollectorRegistry
) -> None:
    viewer = Viewer()
    stream.subscribe(viewer)
    await until(lambda: viewer.frames, within=5, what="the first packet")
    sound.recorders()[0].kill()
    await until(lambda: registry.get_sample_value(FAILURES, LABELS) == 1, within=5, what="it is noticed")
    before = len(viewer.frames)
    await until(lambda: len(viewer.frames) > before, within=5, what="packets come again")


async def test_a_missing_source_is_reported_and_tried_again(
    sound: Sound, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    log = SimpleNamespace(warning=lambda _, error, **_fields: said.append(error), debug=lambda *_, **__: None)
    monkeypatch.setattr("streamserver.capture.worker.log", log)
    settings = CaptureSettings(audio=AudioSettings(device="nothing.monitor"))
    capture = Capture(settings, NO_DISPLAY, sound, registry)
    assert capture.audio is not None
    capture.audio.subscribe(Viewer())
    await until(lambda: registry.get_sample_value(FAILURES, LABELS) == 2, within=10, what="two attempts")
    await capture.stop()
    assert len(said) == 1  # the second attempt says it at level debug
    assert "nothing.monitor" in said[0]


async def test_a_stop_while_it_starts_leaves_nothing(sound: Sound, registry: CollectorRegistry) -> None:
    capture = Capture(CaptureSettings(), NO_DISPLAY, sound, registry)
    assert capture.audio is not None
    for _ in range(5):
        capture.audio.subscribe(Viewer()).close()
    await asyncio.wait_for(capture.stop(), 5)
    assert sound.recorders() == []
