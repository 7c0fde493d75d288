"""Leases: what was promised is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostagent.activity.leases import LeaseTable, TooManyLeasesError
from hostagent.errors import BadRequestError
from hostagent.instances.model import InstanceId

A, B = InstanceId("a" * 24), InstanceId("b" * 24)


def test_a_lease_ends_by_itself() -> None:
    table = LeaseTable(cap=100)
    lease = table.grant(A, "ping", "viewer", 10, now=1000)
    assert (lease.owner, lease.reason, lease.until) == ("ping", "viewer", 1010)
    assert table.held(A, 1009.9) == (lease,)
    assert table.held(B, 1009.9) == ()
    assert table.held(A, 1010) == ()
    assert list(table) == [], "what is over is forgotten"


def test_a_renewal_never_ends_before_what_was_promised() -> None:
    table = LeaseTable(cap=100)
    table.grant(A, "ping", "long", 50, now=0)
    assert table.grant(A, "ping", "short", 10, now=1).until == 50
    assert table.grant(A, "ping", "longer", 60, now=2).until == 62
    assert len(table.held(A, 3)) == 1


def test_the_newest_hold_counts_even_when_it_is_shorter() -> None:
    table = LeaseTable(cap=100)
    table.grant(A, "hold", "", 50, now=0, replace=True)
    assert table.grant(A, "hold", "", 10, now=1, replace=True).until == 11


def test_a_wish_is_cut_to_the_cap_and_the_answer_says_so() -> None:
    assert LeaseTable(cap=100).grant(A, "ping", "", 1e9, now=5).until == 105


def test_a_release_ends_one_lease() -> None:
    table = LeaseTable(cap=100)
    table.grant(A, "one", "", 10, now=0)
    table.grant(A, "two", "", 10, now=0)
    assert table.release(A, "one", now=1)
    assert not table.release(A, "one", now=1)
    assert [lease.owner for lease in table.held(A, 1)] == ["two"]
    assert not table.release(A, "two", now=10), "it had ended by itself"
    assert not table.release(B, "two", now=1)


def test_there_are_so_many_per_instance() -> None:
    table = LeaseTable(cap=100, per_instance=2)
    table.grant(A, "one", "", 10, now=0)
    table.grant(A, "two", "", 20, now=0)
    with pytest.raises(TooManyLeasesError, match="has 2 leases"):
        table.grant(A, "three", "", 10, now=1)
    table.grant(A, "two", "", 30, now=1)
    table.grant(B, "three", "", 10, now=1)
    table.grant(A, "three", "", 10, now=10)


def test_an_instance_that_is_gone_needs_nothing() -> None:
    table = LeaseTable(cap=100)
    table.grant(A, "ping", "", 10, now=0)
    table.drop(A)
    table.drop(A)
    assert table.held(A, 0) == ()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_lease_lasts(seconds: float) -> None:
    with pytest.raises(BadRequestError, match="last longer"):
        LeaseTable(cap=100).grant(A, "ping", "", seconds, now=0)


@pytest.mark.parametrize("owner", ["", "x" * 129])
def test_an_owner_has_a_name(owner: str) -> None:
    with pytest.raises(BadRequestError, match="1 to 128"):
        LeaseTable(cap=100).grant(A, owner, "", 1, now=0)


def test_a_long_reason_is_cut() -> None:
    assert len(LeaseTable(cap=100).grant(A, "ping", "x" * 10_000, 1, now=0).reason) == 256


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.1, 200), st.floats(0, 20)), max_size=30))
def test_no_promise_is_broken(grants: list[tuple[str, float, float]]) -> None:
    table, now, promised = LeaseTable(cap=100), 0.0, 0.0
    for owner, seconds, later in grants:
        promised = max(promised, table.grant(A, owner, "", seconds, now).until)
        now += later
        held = table.held(A, now)
        assert max((lease.until for lease in held), default=now) >= min(promised, max(promised, now))
        assert bool(held) == (promised > now)
