import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.capture.bit_budget import BitBudget

BITRATE, FPS, SECONDS = 1_000_000, 30, 0.4
NOW = 1000.0


def fresh() -> BitBudget:
    return BitBudget(BITRATE, FPS, SECONDS)


def test_a_link_that_rested_is_noticed_only_when_it_was_spent() -> None:
    budget = fresh()
    assert not budget.is_outdated(NOW)
    budget.spend(40_000, NOW)
    assert not budget.is_outdated(NOW + 0.1)
    assert budget.is_outdated(NOW + 0.4)
    budget.restarted(FPS)
    assert not budget.is_outdated(NOW + 0.4)


@given(st.lists(st.integers(0, 60_000), max_size=200))
def test_an_even_flow_of_pictures_never_makes_it_restart(sizes: list[int]) -> None:
    budget = fresh()
    for index, size in enumerate(sizes):
        now = NOW + index / FPS
        assert not budget.is_outdated(now)
        budget.spend(size, now)


@given(st.lists(st.tuples(st.integers(0, 60_000), st.floats(0, 0.5)), max_size=100))
def test_restarts_never_allow_more_than_the_link_carries(story: list[tuple[int, float]]) -> None:
    budget, now, level = fresh(), NOW, BITRATE * SECONDS
    for size, pause in story:
        now += pause
        level = min(level + pause * BITRATE, BITRATE * SECONDS)
        if budget.is_outdated(now):
            assert level >= 0.8 * BITRATE * SECONDS - 1
            budget.restarted(FPS)
        budget.spend(size, now)
        level = max(level - size * 8, 0)


def run(budget: BitBudget, fps: float, pictures: int, size: float, now: float) -> float:
    for _ in range(pictures):
        now += 1 / fps
        budget.changed(now)
        budget.spend(round(size), now)
    return now


@pytest.mark.parametrize("fps", [5, 10, 24, 29.97])
def test_the_pace_is_that_of_the_last_changes(fps: float) -> None:
    budget = fresh()
    assert budget.pace == FPS
    now = run(budget, fps, 100, 100, NOW)
    assert budget.pace == pytest.approx(fps, rel=0.001)
    budget.changed(now + 10)
    assert budget.pace == FPS, "a change after a rest has no pace yet"
    run(budget, 1000, 100, 100, now)
    assert budget.pace == FPS, "more than that never come for long"


def test_an_encoder_that_knows_the_pace_has_the_right_idea() -> None:
    budget, picture = fresh(), BITRATE / 24 / 8
    now = run(budget, 24, 40, picture, NOW)
    budget.restarted(budget.pace)
    for _ in range(50):
        now = run(budget, 24, 10, picture, now)
        assert not budget.is_outdated(now)
        assert not budget.is_overdrawn


def test_pictures_that_come_faster_than_it_was_told_are_noticed_before_much_waits() -> None:
    budget, pictures = fresh(), 0
    now = run(budget, 15, 40, 1000, NOW)
    budget.restarted(budget.pace)
    while not budget.is_overdrawn:
        now = run(budget, 30, 1, 1000, now)
        pictures += 1
    assert pictures * (BITRATE / 15 - BITRATE / 30) <= BITRATE * SECONDS * 0.6


@given(st.lists(st.integers(0, 3), max_size=100))
def test_at_the_rate_that_is_allowed_nothing_is_overdrawn(slots: list[int]) -> None:
    budget, now = fresh(), NOW
    for slot in slots:
        now = run(budget, FPS / max(slot, 1), 1, 60_000, now)
        assert not budget.is_overdrawn
