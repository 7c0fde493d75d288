import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.capture.schedule import (
    KEYFRAME_INTERVAL,
    REFINEMENT_LIMIT,
    REFINEMENT_PATIENCE,
    VideoSchedule,
)

FPS = 30.0
GOOD, COARSE = 45.0, 30.0


@dataclass
class Run:
    """Drives a schedule in simulated time, as the engine does."""

    now: float = 100.0
    psnr: float = GOOD
    schedule: VideoSchedule = field(default_factory=lambda: VideoSchedule(FPS, settled_psnr=42))
    encoded: list[tuple[float, bool]] = field(default_factory=list)

    def until(self, end: float) -> None:
        """Encode whatever is due before `end`."""
        while True:
            step = self.schedule.next(self.now)
            if step.encode:
                self.encoded.append((self.now, step.keyframe))
                self.schedule.encoded(self.now, keyframe=step.keyframe, psnr=self.psnr)
                continue
            if step.wait is None or self.now + step.wait > end:
                self.now = max(self.now, end)
                return
            assert step.wait > 0
            self.now += step.wait


def test_it_begins_with_a_key_frame_and_then_rests() -> None:
    run = Run()
    run.until(200)
    assert run.encoded == [(100.0, True)]


def test_a_change_after_quiet_is_encoded_at_once() -> None:
    run = Run()
    run.until(110)
    run.schedule.screen_changed()
    run.until(120)
    assert run.encoded[1:] == [(110, False)]


def test_the_change_after_it_is_encoded_at_once_too_and_the_third_waits() -> None:
    run = Run()
    run.until(110)
    for at in (110, 110.005, 110.01):
        run.until(at)
        run.schedule.screen_changed()
    run.until(120)
    assert [at for at, _ in run.encoded[1:]] == [110, 110.005, pytest.approx(110 + 1 / FPS)]


def test_constant_changes_are_encoded_at_the_rate_that_is_set() -> None:
    run = Run()
    run.until(110)
    for tick in range(1000):
        run.schedule.screen_changed()
        run.until(110 + (tick + 1) / 200)
    times = [at for at, _ in run.encoded[1:]]
    assert len(times) == pytest.approx(5 * FPS, abs=2)
    assert all(
        after - before == pytest.approx(1 / FPS, abs=0.006) for before, after in itertools.pairwise(times[1:])
    )


def test_a_change_does_not_wait_for_the_slot_that_refinement_took() -> None:
    run = Run(psnr=COARSE)
    run.until(100 + 1.2 / FPS)
    assert len(run.encoded) == 2
    run.schedule.screen_changed()
    run.until(100 + 1.3 / FPS)
    assert run.encoded[2][0] == pytest.approx(100 + 1.2 / FPS)


def test_a_change_that_cannot_be_seen_is_nothing() -> None:
    run = Run()
    run.until(110)
    run.schedule.screen_changed()
    run.schedule.screen_unchanged()
    run.until(120)
    assert len(run.encoded) == 1


def test_requests_that_come_close_together_share_one_key_frame() -> None:
    run = Run()
    run.until(110)
    for _ in range(10):
        run.schedule.keyframe_requested()
        run.until(run.now + 0.02)
    run.until(120)
    keyframes = [at for at, keyframe in run.encoded if keyframe]
    assert len(keyframes) == 3  # the first one, one at once, one for those that asked after it
    assert keyframes[2] - keyframes[1] >= KEYFRAME_INTERVAL - 1e-9


def test_a_coarse_picture_is_refined_until_it_is_good() -> None:
    run = Run(psnr=COARSE)
    run.until(100.1)
    run.psnr = GOOD
    run.until(120)
    assert len(run.encoded) == 5
    assert not any(keyframe for _, keyframe in run.encoded[1:])


def test_refinement_ends_even_if_it_never_gets_good() -> None:
    run = Run(psnr=COARSE)
    run.until(120)
    assert len(run.encoded) == 1 + REFINEMENT_PATIENCE


def test_refinement_that_gains_goes_on_for_a_bounded_time() -> None:
    run = Run(psnr=COARSE)
    for tick in range(300):
        run.psnr = COARSE + tick * 0.01
        run.until(run.now + 1 / FPS)
    assert REFINEMENT_PATIENCE < len(run.encoded) <= 1 + REFINEMENT_LIMIT


@pytest.mark.parametrize("pictures_a_second", [6, 10, 24, 29.97])
def test_a_film_is_not_refined_between_its_pictures(pictures_a_second: float) -> None:
    run = Run(psnr=COARSE)
    run.until(105)
    run.encoded.clear()
    for picture in range(100):
        run.schedule.screen_changed()
        run.until(105 + (picture + 1) / pictures_a_second)
    # Its first two may be taken for events of their own.
    assert 100 <= len(run.encoded) <= 100 + 2 * REFINEMENT_PATIENCE


def test_refinement_begins_soon_after_motion_has_ended() -> None:
    run = Run(psnr=COARSE)
    for picture in range(1, 21):
        run.schedule.screen_changed()
        run.until(100 + picture / 24)
    before = len(run.encoded)
    run.until(run.now + 1 / 24 + 0.001)
    assert len(run.encoded) == before + 1
    run.until(120)
    assert len(run.encoded) == before + REFINEMENT_PATIENCE


Happening = tuple[float, str]
happenings = st.lists(
    st.tuples(st.floats(0, 0.5), st.sampled_from(["change", "request"]), st.sampled_from([GOOD, COARSE])),
    max_size=60,
)


@given(happenings)
def test_rates_hold_and_everything_is_answered(story: list[tuple[float, str, float]]) -> None:
    run = Run()
    run.until(run.now)
    unanswered: list[Happening] = []
    for pause, what, psnr in story:
        run.until(run.now + pause)
        run.psnr = psnr
        if what == "change":
            run.schedule.screen_changed()
        else:
            run.schedule.keyframe_requested()
        unanswered.append((run.now, what))
    run.until(run.now + 10)

    keyframes = [at for at, keyframe in run.encoded if keyframe]
    pictures = [at for at, _ in run.encoded]
    for before, after in itertools.pairwise(keyframes):
        assert after - before >= KEYFRAME_INTERVAL - 1e-9
    for at, what in unanswered:
        if what == "request":
            assert any(at <= answer <= at + KEYFRAME_INTERVAL + 1e-6 for answer in keyframes)
        else:
            assert any(at <= answer <= at + 2 / FPS for answer in pictures)
    # The set rate holds over any second, plus the key frames that go out of turn and the one slot of jitter.
    for at in pictures:
        inside = [other for other in run.encoded if at <= other[0] < at + 1]
        assert sum(not keyframe for _, keyframe in inside) <= FPS + 1
    assert run.schedule.next(run.now).wait is None
