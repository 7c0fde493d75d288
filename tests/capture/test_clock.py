import itertools

from hypothesis import given
from hypothesis import strategies as st

from streamserver.capture.clock import (
    AUDIO_TOLERANCE,
    OPUS_FRAME_SAMPLES,
    OPUS_FRAME_SECONDS,
    RTP_MODULUS,
    AudioTimeline,
    MachinePauses,
    rtp_time,
)
from streamserver.capture.frames import AUDIO_CLOCK_RATE

seconds = st.floats(0, 1e8)


def test_the_clock_counts_real_time_and_wraps() -> None:
    assert rtp_time(1.5, 90_000) == 135_000
    assert rtp_time(RTP_MODULUS / 90_000 + 1, 90_000) == 90_000


@given(seconds, st.floats(0, 3600))
def test_differences_are_real_time(start: float, pause: float) -> None:
    ticks = (rtp_time(start + pause, 90_000) - rtp_time(start, 90_000)) % RTP_MODULUS
    assert abs(ticks - pause * 90_000) <= 1.01


def test_steady_sound_advances_by_whole_packets() -> None:
    timeline = AudioTimeline()
    jitter = (0.0, 0.012, -0.009, 0.004, 0.0)
    stamps = [
        rtp_time(place, AUDIO_CLOCK_RATE)
        for index, late in enumerate(jitter)
        if (place := timeline.place(1000 + index * OPUS_FRAME_SECONDS + late)) is not None
    ]
    assert [after - before for before, after in itertools.pairwise(stamps)] == [OPUS_FRAME_SAMPLES] * 4


def test_after_a_gap_the_stamp_jumps_by_wall_time() -> None:
    timeline = AudioTimeline()
    first = timeline.place(1000.0)
    later = timeline.place(1060.0)
    assert first is not None
    assert later is not None
    assert abs(later - first - 60) < 1e-6


def test_what_a_pipe_held_during_a_stop_is_dropped() -> None:
    timeline = AudioTimeline()
    timeline.place(1000.0)
    backlog = [timeline.place(1060.0) for _ in range(round(0.35 / OPUS_FRAME_SECONDS))]
    kept = [place for place in backlog if place is not None]
    assert len(kept) * OPUS_FRAME_SECONDS < 0.15
    assert max(kept) <= 1060 + AUDIO_TOLERANCE


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_stamps_grow_and_stay_near_the_wall(pauses: list[float]) -> None:
    timeline, now, last = AudioTimeline(), 50.0, float("-inf")
    for pause in pauses:
        now += pause
        place = timeline.place(now)
        if place is None:
            continue
        assert place >= last + OPUS_FRAME_SECONDS - 1e-9
        assert abs(place - (now - OPUS_FRAME_SECONDS)) <= AUDIO_TOLERANCE + 1e-9
        last = place


def test_a_machine_that_was_paused_moves_the_stamps_by_what_the_wall_saw() -> None:
    pauses = MachinePauses()
    assert pauses.total(10, 1000) == 0
    assert pauses.total(11, 1001) == 0
    assert pauses.total(11, 4601) == 3600  # its own clock stood still
    assert pauses.total(12, 4602) == 3600
    assert pauses.total(12.5, 4602.5 + 60) == 3660


def test_a_frozen_process_needs_no_correction_and_a_corrected_clock_is_no_pause() -> None:
    pauses = MachinePauses()
    assert pauses.total(10, 1000) == 0
    assert pauses.total(3610, 4600) == 0  # both clocks ran on: the stamps jump by themselves
    for hour in range(1, 100):  # half a second an hour, as time synchronisation may do
        assert pauses.total(3610 + hour * 3600, 4600 + hour * 3600.5) == 0
    assert pauses.total(400_000, 0) == 0  # set back
