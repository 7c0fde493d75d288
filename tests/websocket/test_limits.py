"""The bounds, on a clock of ours."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streamserver.websocket.limits import LogLimiter, TokenBucket


@given(
    rate=st.integers(10, 1000),
    burst=st.integers(1, 1000),
    gaps=st.lists(st.floats(0, 2, allow_nan=False), min_size=1, max_size=200),
)
def test_a_client_that_waits_as_told_is_never_faster_than_the_rate(
    rate: int, burst: int, gaps: list[float]
) -> None:
    bucket = TokenBucket(rate, burst)
    now = 0.0
    handled: list[float] = []
    for gap in gaps:
        now += gap
        now += bucket.take(now)
        handled.append(now)
    for first in range(len(handled)):
        count = len(handled) - first
        assert count <= burst + rate * (handled[-1] - handled[first]) + 1 + 1e-6


def test_a_client_below_the_rate_never_waits() -> None:
    bucket = TokenBucket(rate=10, burst=1)
    assert [bucket.take(0.1 * number + 1e-9 * number) for number in range(100)] == [0.0] * 100


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 5, allow_nan=False)), max_size=100))
def test_one_line_per_kind_and_interval_and_none_is_forgotten(calls: list[tuple[str, float]]) -> None:
    limiter = LogLimiter(interval=3)
    now = 0.0
    lines: dict[str, list[tuple[float, int]]] = {"a": [], "b": []}
    asked = {"a": 0, "b": 0}
    for kind, gap in calls:
        now += gap
        asked[kind] += 1
        left_out = limiter.admit(kind, now)
        if left_out is not None:
            lines[kind].append((now, left_out))
    for kind, written in lines.items():
        assert all(later - earlier >= 3 for (earlier, _), (later, _) in itertools.pairwise(written))
        assert sum(left_out + 1 for _, left_out in written) <= asked[kind]
    limiter_end = {kind: limiter.admit(kind, now + 4) or 0 for kind in "ab"}
    for kind, written in lines.items():
        assert sum(left_out + 1 for _, left_out in written) + limiter_end[kind] == asked[kind]
