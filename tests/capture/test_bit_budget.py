from hypothesis import given
from hypothesis import strategies as st

from streamserver.capture.bit_budget import BitBudget

BITRATE, FPS, SECONDS = 1_000_000, 30, 0.4


def test_a_rested_link_is_noticed_only_when_it_was_spent() -> None:
    budget = BitBudget(BITRATE, FPS, SECONDS)
    assert not budget.is_outdated(idle=60)
    budget.spend(40_000)
    assert not budget.is_outdated(idle=0)
    assert budget.is_outdated(idle=1)


@given(st.lists(st.integers(0, 60_000), max_size=30), st.floats(0, 10), st.floats(0, 10))
def test_more_rest_never_makes_it_less_true(sizes: list[int], idle: float, more: float) -> None:
    budget = BitBudget(BITRATE, FPS, SECONDS)
    for size in sizes:
        budget.spend(size)
    assert not budget.is_outdated(0)
    if budget.is_outdated(idle):
        assert budget.is_outdated(idle + more)


@given(st.lists(st.integers(0, 60_000), max_size=30))
def test_enough_small_pictures_bring_it_back(sizes: list[int]) -> None:
    budget = BitBudget(BITRATE, FPS, SECONDS)
    for size in sizes:
        budget.spend(size)
    for _ in range(round(FPS * SECONDS) + 1):
        budget.spend(100)
    assert not budget.is_outdated(60)
