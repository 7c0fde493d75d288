from streamserver.capture.fanout import Fanout
from streamserver.capture.frames import EncodedFrame
from tests.capture.viewer import Viewer

KEY = EncodedFrame(b"key", True, 0, 0.0)
DELTA = EncodedFrame(b"delta", False, 3000, 0.033)


def test_a_video_listener_waits_for_a_key_frame() -> None:
    fanout = Fanout(starts_with_keyframe=True, occupied=lambda _: None)
    early, late = Viewer(), Viewer()
    fanout.join(early)
    fanout.deliver(KEY)
    fanout.join(late)
    for frame in (DELTA, KEY, DELTA):
        fanout.deliver(frame)
    assert early.frames == [KEY, DELTA, KEY, DELTA]
    assert late.frames == [KEY, DELTA]


def test_nothing_comes_after_closing_and_closing_twice_is_once() -> None:
    counts: list[int] = []
    fanout = Fanout(starts_with_keyframe=False, occupied=counts.append)
    viewer = Viewer()
    seat = fanout.join(viewer)
    seat.close()
    seat.close()
    fanout.deliver(KEY)
    assert viewer.frames == []
    assert counts == [1, 0]


def test_a_listener_that_raises_hurts_nobody_else() -> None:
    fanout = Fanout(starts_with_keyframe=False, occupied=lambda _: None)

    def broken(frame: EncodedFrame) -> None:
        raise RuntimeError("broken listener")

    viewer = Viewer()
    fanout.join(broken)
    fanout.join(viewer)
    fanout.deliver(KEY)
    fanout.deliver(DELTA)
    assert viewer.frames == [KEY, DELTA]


def test_a_listener_may_leave_or_bring_another_while_it_is_called() -> None:
    fanout = Fanout(starts_with_keyframe=False, occupied=lambda _: None)
    viewer = Viewer()

    def once(frame: EncodedFrame) -> None:
        seat.close()
        fanout.join(viewer)

    seat = fanout.join(once)
    fanout.deliver(KEY)
    fanout.deliver(DELTA)
    assert viewer.frames == [DELTA]
    assert len(fanout) == 1
