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
    budget.restarted()
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
            budget.restarted()
        budget.spend(size, now)
        level = max(level - size * 8, 0)
