from __future__ import annotations

import time

from streamserver.capture.frames import EncodedFrame
from streamserver.webrtc.early_frames import MOST_EARLY
from streamserver.webrtc.flow import Flow
from tests.webrtc.room import HandStream


class Drain:
    def __init__(self) -> None:
        self.numbers: list[int] = []

    def deliver(self, frame: EncodedFrame) -> None:
        self.numbers.append(frame.data[0])

    def discard(self) -> None:
        self.numbers.clear()


def frame(number: int, *, keyframe: bool = False) -> EncodedFrame:
    return EncodedFrame(bytes([number]), keyframe, number * 3000, time.monotonic())


def running(stream: HandStream | None) -> tuple[Flow, Drain]:
    drain = Drain()
    flow = Flow("video", stream, drain)
    flow.set_ready()
    flow.set_started()
    return flow, drain


def test_listens_only_while_somebody_gets_something() -> None:
    stream = HandStream()
    flow = Flow("video", stream, Drain())
    assert not stream.places
    flow.set_started()
    assert not stream.places, "the viewer cannot decrypt yet"
    flow.set_ready()
    assert len(stream.places) == 1
    assert flow.flowing
    flow.set_paused(True)
    assert not stream.places
    flow.set_disabled(True)
    flow.set_paused(False)
    assert not stream.places
    flow.set_disabled(False)
    assert len(stream.places) == 1
    flow.stop()
    assert not stream.places
    flow.set_paused(True)
    flow.set_paused(False)
    assert not stream.places, "a stopped flow stays stopped"


def test_starts_with_a_key_frame() -> None:
    stream = HandStream()
    flow, drain = running(stream)
    stream.deliver(frame(1))
    stream.deliver(frame(2, keyframe=True))
    stream.deliver(frame(3))
    assert (drain.numbers, flow.dropped) == ([2, 3], 1)


def test_skips_to_the_next_key_frame_and_asks_for_it() -> None:
    stream = HandStream()
    flow, drain = running(stream)
    stream.deliver(frame(1, keyframe=True))
    flow.skip_to_keyframe()
    stream.deliver(frame(2))
    stream.deliver(frame(3, keyframe=True))
    assert (drain.numbers, stream.keyframe_requests) == ([1, 3], 1)


def test_another_stream_begins_with_a_key_frame_of_its_own() -> None:
    first, second = HandStream("hd"), HandStream("sd")
    flow, drain = running(first)
    first.deliver(frame(1, keyframe=True))
    flow.set_stream(second)
    assert (len(first.places), len(second.places)) == (1, 1)
    second.deliver(frame(50))
    first.deliver(frame(2))
    assert drain.numbers == [1, 2], "the old one goes on until the new one can be shown"
    second.deliver(frame(51, keyframe=True))
    first.deliver(frame(3))
    second.deliver(frame(52))
    assert drain.numbers == [51, 52], "what still waits of the old one is not wanted any more"
    assert (len(first.places), len(second.places)) == (0, 1)


def test_a_change_of_mind_before_the_key_frame_leaves_nothing_behind() -> None:
    first, second, third = HandStream("hd"), HandStream("sd"), HandStream("low")
    flow, drain = running(first)
    first.deliver(frame(1, keyframe=True))
    flow.set_stream(second)
    flow.set_stream(third)
    assert (len(first.places), len(second.places), len(third.places)) == (1, 0, 1)
    flow.set_stream(first)
    assert (len(first.places), len(second.places), len(third.places)) == (1, 0, 0)
    first.deliver(frame(2))
    assert drain.numbers == [1, 2], "nothing was interrupted"
    flow.set_stream(second)
    flow.set_paused(True)
    assert not first.places
    assert not second.places
    flow.set_paused(False)
    assert (len(first.places), len(second.places)) == (0, 1)


def test_nothing_is_asked_of_a_stream_nobody_listens_to() -> None:
    stream = HandStream()
    Flow("video", stream, Drain()).request_keyframe()
    assert stream.keyframe_requests == 0
    flow, _ = running(None)
    flow.request_keyframe()
    assert not flow.flowing


def test_an_expected_viewer_gets_what_came_since_the_key_frame_at_once() -> None:
    stream, drain = HandStream(), Drain()
    flow = Flow("video", stream, drain)
    flow.set_expected(True)
    assert (len(stream.places), flow.flowing) == (1, False)
    for number, keyframe in ((1, False), (2, True), (3, False), (4, True), (5, False)):
        stream.deliver(frame(number, keyframe=keyframe))
    flow.set_started()
    assert drain.numbers == [], "the viewer cannot decrypt yet"
    flow.set_ready()
    stream.deliver(frame(6))
    assert drain.numbers == [4, 5, 6]
    assert flow.flowing
    assert (stream.subscriptions, stream.keyframe_requests) == (1, 0)
    flow.set_expected(False)
    assert flow.flowing, "it is too late for that"


def test_a_viewer_that_takes_long_begins_with_a_new_key_frame() -> None:
    stream, drain = HandStream(), Drain()
    flow = Flow("video", stream, drain)
    flow.set_expected(True)
    flow.set_started()
    stream.deliver(frame(0, keyframe=True))
    for number in range(1, MOST_EARLY + 1):
        stream.deliver(frame(number))
    assert stream.keyframe_requests == 0, "it need not be there before the viewer"
    flow.set_ready()
    assert stream.keyframe_requests == 1
    stream.deliver(frame(50))
    stream.deliver(frame(51, keyframe=True))
    assert drain.numbers == [51]


def test_a_viewer_that_does_not_come_is_captured_for_no_longer() -> None:
    stream, drain = HandStream(), Drain()
    flow = Flow("video", stream, drain)
    flow.set_expected(True)
    stream.deliver(frame(1, keyframe=True))
    flow.set_expected(False)
    assert not stream.places
    flow.set_started()
    flow.set_ready()
    assert drain.numbers == [], "what was kept is outdated"
    assert len(stream.places) == 1


def test_nothing_of_before_a_pause_is_kept_for_an_expected_viewer() -> None:
    stream, drain = HandStream(), Drain()
    flow = Flow("video", stream, drain)
    flow.set_expected(True)
    stream.deliver(frame(1, keyframe=True))
    flow.set_paused(True)
    assert not stream.places
    flow.set_paused(False)
    flow.set_started()
    flow.set_ready()
    assert drain.numbers == []
    stream.deliver(frame(2, keyframe=True))
    assert drain.numbers == [2]
