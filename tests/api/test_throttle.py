"""The throttle, by property: time goes on, sources fail, others are not touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.api.throttle import LoginThrottle, Slowdown, ThrottlePolicy, network_of

policies = st.builds(
    ThrottlePolicy,
    free=st.integers(0, 5),
    first_delay=st.floats(0.01, 10),
    longest_delay=st.floats(0, 100),
    forget_after=st.floats(101, 1000),
    capacity=st.integers(1, 5),
)
steps = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 50)), max_size=60)


@given(policies, st.integers(0, 3000))
def test_the_delay_grows_up_to_the_cap(policy: ThrottlePolicy, failures: int) -> None:
    assert 0 <= policy.delay(failures) <= policy.delay(failures + 1) <= policy.longest_delay


@given(policies, steps)
def test_memory_is_bounded_and_every_wait_ends(
    policy: ThrottlePolicy, failures: list[tuple[str, float]]
) -> None:
    slowdown, now = Slowdown(policy), 0.0
    for source, pause in failures:
        now += pause
        slowdown.failed(source, now)
        assert len(slowdown) <= policy.capacity
        wait = slowdown.wait(source, now)
        assert 0 <= wait <= policy.longest_delay
        assert slowdown.wait(source, now + wait + 1e-3) == 0


@given(policies, steps)
def test_a_failure_changes_nothing_for_other_sources(
    policy: ThrottlePolicy, failures: list[tuple[str, float]]
) -> None:
    slowdown, now = Slowdown(policy), 0.0
    for source, pause in failures:
        now += pause
        others = {other: slowdown.wait(other, now) for other in "abcdefgh" if other != source}
        slowdown.failed(source, now)
        for other, wait in others.items():
            assert slowdown.wait(other, now) in (wait, 0.0)  # forgotten at most, for lack of space
    assert slowdown.wait("somebody else", now) == 0


@given(policies, st.integers(1, 20))
def test_waiting_only_shrinks_while_nothing_fails(policy: ThrottlePolicy, failures: int) -> None:
    slowdown = Slowdown(policy)
    for _ in range(failures):
        slowdown.failed("a", 0.0)
    waits = [slowdown.wait("a", second / 4) for second in range(100)]
    assert waits == sorted(waits, reverse=True)
    assert slowdown.wait("a", policy.forget_after) == 0


def test_one_name_from_many_addresses_is_slowed_down_too() -> None:
    throttle = LoginThrottle()
    for n in range(11):
        throttle.failed(f"10.0.{n}.1", "Admin", 0.0)
    assert throttle.wait("192.0.2.1", "admin", 0.0) > 0
    assert throttle.wait("192.0.2.1", "somebody", 0.0) == 0


def test_success_frees_the_name_and_not_the_address() -> None:
    throttle = LoginThrottle()
    for _ in range(11):
        throttle.failed("10.0.0.1", "eve", 0.0)
    throttle.succeeded("eve")
    assert throttle.wait("10.0.0.2", "eve", 0.0) == 0
    assert throttle.wait("10.0.0.1", "anybody", 0.0) > 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:2", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_a_source_is_what_one_customer_has(address: str, network: str) -> None:
    assert network_of(address) == network
