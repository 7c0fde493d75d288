from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamserver.webrtc.pacer import BURST_SECONDS, LEAST_BURST, Pacer


def test_without_a_rate_all_may_leave() -> None:
    pacer = Pacer()
    pacer.spend(10**9)
    assert pacer.allowance(0.0) == float("inf")


@given(
    st.floats(50_000, 50_000_000), st.lists(st.tuples(st.floats(0, 0.1), st.integers(1, 1300)), max_size=200)
)
def test_never_more_leaves_than_the_rate_and_one_burst(
    rate: float, attempts: list[tuple[float, int]]
) -> None:
    pacer = Pacer()
    pacer.rate = rate
    now, sent = 0.0, 0
    for wait, size in attempts:
        now += wait
        if pacer.allowance(now) >= size:
            pacer.spend(size)
            sent += size
    assert sent <= rate / 8 * now + max(rate / 8 * BURST_SECONDS, LEAST_BURST) + 1


def test_what_is_sent_beyond_the_rate_holds_up_the_rest_for_a_moment_only() -> None:
    pacer = Pacer()
    pacer.rate = 1_000_000
    assert pacer.allowance(0.0) > 0
    pacer.spend(10**6)
    assert pacer.allowance(0.05) < 0
    assert pacer.allowance(0.11) > 0


def test_a_queue_leaves_at_the_rate() -> None:
    pacer = Pacer()
    pacer.rate = 1_500_000
    sent = 0
    for tick in range(500):  # every 2 ms for a second
        while pacer.allowance(tick * 0.002) >= 1232:
            pacer.spend(1232)
            sent += 1232
    assert 0.95 * 187_500 < sent < 1.05 * 187_500 + LEAST_BURST
