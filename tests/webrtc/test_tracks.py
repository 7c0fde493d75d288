from __future__ import annotations

import asyncio
import time

import av
import pytest
from aiortc.mediastreams import MediaStreamError
from av.stream import Stream

from streamserver.capture.frames import EncodedFrame
from streamserver.webrtc.tracks import QUEUE_LIMIT, EncodedTrack
from tests.waiting import until
from tests.webrtc.room import HandStream


def frame(number: int, *, keyframe: bool = False) -> EncodedFrame:
    return EncodedFrame(bytes([number]), keyframe, number * 3000, time.monotonic())


async def pulled(track: EncodedTrack) -> asyncio.Task[av.Packet[Stream]]:
    task = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    return task


async def flowing(stream: HandStream, kind: str = "video") -> EncodedTrack:
    track = EncodedTrack("video" if kind == "video" else "audio", stream)
    track.set_ready()
    task = await pulled(track)
    assert track.flowing
    stream.deliver(frame(0, keyframe=True))
    await task
    return track


async def test_listens_only_while_somebody_gets_something() -> None:
    stream = HandStream()
    track = EncodedTrack("video", stream)
    assert stream.places == []
    task = await pulled(track)
    assert stream.places == [], "the viewer cannot decrypt yet"
    track.set_ready()
    assert len(stream.places) == 1
    track.set_paused(True)
    assert stream.places == []
    track.set_disabled(True)
    track.set_paused(False)
    assert stream.places == []
    track.set_disabled(False)
    assert len(stream.places) == 1
    track.stop()
    assert stream.places == []
    with pytest.raises(MediaStreamError):
        await task
    track.set_paused(True)
    track.set_paused(False)
    assert not stream.places, "a stopped track stays stopped"


async def test_starts_with_a_key_frame_and_passes_times_on() -> None:
    stream = HandStream()
    track = EncodedTrack("video", stream)
    track.set_ready()
    task = await pulled(track)
    stream.deliver(frame(1))
    stream.deliver(frame(2, keyframe=True))
    stream.deliver(frame(3))
    packet = await task
    assert (bytes(packet), packet.pts, packet.time_base) == (b"\x02", 6000, track._time_base)
    assert bytes(await track.recv()) == b"\x03"
    assert track.dropped == 1
    assert 0 <= track.send_delay() < 1


async def test_a_late_picture_skips_to_the_next_key_frame_and_asks_for_it() -> None:
    stream = HandStream()
    track = await flowing(stream)
    for number in range(QUEUE_LIMIT["video"] + 1):
        stream.deliver(frame(number))
    assert stream.keyframe_requests == 1
    stream.deliver(frame(98))
    stream.deliver(frame(99, keyframe=True))
    assert bytes(await track.recv()) == b"\x63"
    assert track.dropped == QUEUE_LIMIT["video"] + 2
    assert stream.keyframe_requests == 1


async def test_late_sound_loses_its_oldest() -> None:
    stream = HandStream("audio", "audio", "opus")
    track = await flowing(stream, "audio")
    for number in range(QUEUE_LIMIT["audio"] + 3):
        stream.deliver(frame(number, keyframe=True))
    assert bytes(await track.recv()) == b"\x03"
    assert track.dropped == 3


async def test_another_stream_begins_with_a_key_frame_of_its_own() -> None:
    first, second = HandStream("hd"), HandStream("sd")
    track = await flowing(first)
    first.deliver(frame(1))
    track.set_stream(second)
    assert (len(first.places), len(second.places)) == (0, 1)
    second.deliver(frame(50))
    second.deliver(frame(51, keyframe=True))
    assert bytes(await track.recv()) == b"\x33"


async def test_nothing_is_asked_of_a_stream_nobody_listens_to() -> None:
    stream = HandStream()
    track = EncodedTrack("video", stream)
    track.request_keyframe()
    assert stream.keyframe_requests == 0
    silent = EncodedTrack("audio", None)
    silent.set_ready()
    task = await pulled(silent)
    silent.stop()
    await until(task.done, within=1, what="a track without a stream ends")
    with pytest.raises(MediaStreamError):
        await task
