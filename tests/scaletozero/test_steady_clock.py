"""The clock that never goes back."""

from hypothesis import given
from hypothesis import strategies as st

from plugins.scaletozero.steady_clock import SteadyClock

STEPS = st.lists(st.floats(-1e6, 1e6), max_size=30)


@given(STEPS)
def test_it_goes_as_far_as_the_clock_went_forward(steps: list[float]) -> None:
    now = 1000.0
    clock = SteadyClock(lambda: now)
    latest, expected = clock(), 1000.0
    for step in steps:
        now += step
        expected += max(0.0, step)
        assert clock() >= latest
        latest = clock()
    assert abs(latest - expected) < 1e-3
