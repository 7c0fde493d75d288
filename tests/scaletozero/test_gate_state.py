"""Every rule of the gate in simulated time, with the writes it costs."""

import pytest

from plugins.scaletozero.commands import Command, LeaseLimitError, Outcome, WriteResult
from plugins.scaletozero.gate_state import LONGEST_RETRY, MOST_LEASES, retry_delay
from plugins.scaletozero.holds import PIN, HoldKey, HoldKind
from plugins.scaletozero.snapshot import Gate
from tests.scaletozero.simulated_gate import SimulatedGate, lease, request, session

BOTH = {Command.RAISE, Command.LOWER}


# what the original's unit tests ask for, with the number of writes they name


def test_one_hold_and_its_release_write_plus_and_minus() -> None:
    gate = SimulatedGate()
    gate.acquire(session())
    assert (gate.written, gate.gate) == ("+", Gate.HELD)
    gate.release(session())
    assert (gate.written, gate.gate) == ("+-", Gate.RELEASED)


def test_three_holds_write_one_plus() -> None:
    gate = SimulatedGate()
    for name in ("ann", "bob", "cat"):
        gate.acquire(session(name))
    assert gate.written == "+"
    assert gate.snapshot.pending == 3


def test_the_last_of_two_releases_writes_minus() -> None:
    gate = SimulatedGate()
    gate.acquire(request("r1"))
    gate.acquire(request("r2"))
    gate.release(request("r1"))
    assert gate.written == "+"
    gate.release(request("r2"))
    assert gate.written == "+-"


def test_a_request_whose_plus_failed_is_withdrawn_so_that_one_release_suffices() -> None:
    gate = SimulatedGate()
    gate.fails = {Command.RAISE}
    assert not gate.ok(gate.acquire(request("r1")))
    assert gate.snapshot.holds == ()
    gate.fails.clear()
    assert gate.ok(gate.acquire(request("r2")))
    gate.release(request("r2"))
    assert (gate.attempts, gate.written) == ("++-", "+-")


def test_a_failed_minus_is_written_again_by_itself() -> None:
    """Better than the original, where it waited for the next release."""
    gate = SimulatedGate()
    gate.acquire(session())
    gate.fails = {Command.LOWER}
    gate.release(session())
    assert (gate.attempts, gate.gate) == ("+-", Gate.FAILING)
    gate.fails.clear()
    gate.pass_time(0.1)
    assert (gate.attempts, gate.gate) == ("+--", Gate.RELEASED)


def test_a_release_without_a_hold_writes_nothing() -> None:
    gate = SimulatedGate()
    assert gate.ok(gate.release(session()))
    assert gate.attempts == ""


def test_two_rounds_write_two_pairs() -> None:
    gate = SimulatedGate()
    for _ in range(2):
        gate.acquire(request())
        gate.release(request())
    assert gate.written == "+-+-"


def test_minus_waits_for_the_cooldown() -> None:
    gate = SimulatedGate(cooldown=0.05)
    gate.acquire(session())
    gate.release(session())
    gate.pass_time(0.049)
    assert (gate.written, gate.gate) == ("+", Gate.COOLDOWN)
    gate.pass_time(0.001)
    assert (gate.written, gate.gate) == ("+-", Gate.RELEASED)


def test_a_hold_within_the_cooldown_cancels_the_minus() -> None:
    gate = SimulatedGate(cooldown=1.0)
    gate.acquire(request())
    gate.release(request())
    gate.pass_time(0.9)
    gate.acquire(request())
    gate.pass_time(100)
    assert gate.written == "+"
    gate.release(request())
    gate.pass_time(1)
    assert gate.written == "+-"


def test_a_cancelled_cooldown_does_not_shorten_the_next_one() -> None:
    """Better than the original, whose forgotten timer could cut the next cooldown short."""
    gate = SimulatedGate(cooldown=1.0)
    gate.acquire(request())
    gate.release(request())
    gate.pass_time(0.9)
    gate.acquire(request())
    gate.release(request())
    gate.release(request())
    gate.pass_time(0.9)
    assert gate.written == "+"


def test_an_unknown_release_does_not_lengthen_the_cooldown() -> None:
    gate = SimulatedGate(cooldown=1.0)
    gate.acquire(request())
    gate.release(request())
    gate.pass_time(0.9)
    gate.release(request())
    gate.pass_time(0.1)
    assert gate.written == "+-"


def test_ten_quick_pairs_within_the_cooldown_write_one_pair() -> None:
    gate = SimulatedGate(cooldown=1.0)
    for number in range(10):
        gate.acquire(request(str(number)))
        gate.pass_time(0.01)
        gate.release(request(str(number)))
        gate.pass_time(0.01)
    gate.pass_time(1)
    assert gate.written == "+-"


def test_requests_coming_and_going_never_release_the_pin() -> None:
    gate = SimulatedGate()
    gate.pin()
    gate.acquire(request())
    gate.release(request())
    assert gate.written == "+"
    gate.unpin()
    assert gate.written == "+-"


def test_three_pins_need_one_unpin() -> None:
    gate = SimulatedGate()
    for _ in range(3):
        gate.pin()
    for _ in range(2):
        assert gate.ok(gate.unpin())
    assert gate.written == "+-"


def test_an_unpin_alone_writes_nothing() -> None:
    gate = SimulatedGate()
    assert gate.ok(gate.unpin())
    assert gate.attempts == ""


def test_an_unpin_during_a_request_leaves_the_minus_to_the_request() -> None:
    gate = SimulatedGate()
    gate.pin()
    gate.acquire(request())
    assert gate.ok(gate.unpin())
    assert gate.written == "+"
    gate.release(request())
    assert gate.written == "+-"


def test_a_pin_during_the_cooldown_cancels_it() -> None:
    gate = SimulatedGate(cooldown=1.0)
    gate.acquire(request())
    gate.release(request())
    gate.pass_time(0.5)
    assert gate.ok(gate.pin())
    gate.pass_time(100)
    assert gate.written == "+"


def test_an_unpin_honours_the_cooldown_and_succeeds_at_once() -> None:
    gate = SimulatedGate(cooldown=1.0)
    gate.pin()
    assert gate.ok(gate.unpin())
    assert gate.written == "+"
    gate.pass_time(1)
    assert gate.written == "+-"


def test_an_unpin_whose_minus_failed_stays_pinned_and_can_be_tried_again() -> None:
    gate = SimulatedGate()
    gate.pin()
    gate.fails = {Command.LOWER}
    assert not gate.ok(gate.unpin())
    assert gate.attempts == "+-"
    assert gate.snapshot.count(HoldKind.PIN) == 1
    gate.pass_time(100)
    assert gate.attempts == "+-"
    assert not gate.ok(gate.unpin())
    assert gate.attempts == "+--"
    gate.fails.clear()
    assert gate.ok(gate.unpin())
    assert (gate.attempts, gate.written) == ("+---", "+-")


def test_a_lease_ends_by_itself() -> None:
    gate = SimulatedGate()
    gate.acquire(lease(), ttl=10)
    gate.pass_time(9.9)
    assert gate.written == "+"
    gate.pass_time(0.1)
    assert gate.written == "+-"


@pytest.mark.parametrize(("ttl", "awake_for"), [(20.0, 25.0), (2.0, 7.0)], ids=["longer", "shorter"])
def test_the_newest_ttl_of_a_lease_wins(ttl: float, awake_for: float) -> None:
    gate = SimulatedGate()
    gate.acquire(lease(), ttl=10)
    gate.pass_time(5)
    gate.acquire(lease(), ttl=ttl)
    gate.pass_time(awake_for - 5 - 0.1)
    assert gate.written == "+"
    gate.pass_time(0.1)
    assert gate.written == "+-"


def test_the_end_of_a_lease_leaves_the_pin_alone() -> None:
    gate = SimulatedGate()
    gate.pin()
    gate.acquire(lease(), ttl=1)
    gate.pass_time(5)
    gate.release(lease())
    assert gate.written == "+"


def test_a_dropped_lease_waits_for_the_others() -> None:
    gate = SimulatedGate()
    gate.acquire(lease("l1"), ttl=100)
    gate.acquire(lease("l2"), ttl=100)
    gate.release(lease("l1"))
    assert gate.written == "+"
    gate.release(lease("l2"))
    assert gate.written == "+-"


# what is ours


def test_a_renewed_lease_is_no_second_hold_at_the_limit() -> None:
    gate = SimulatedGate()
    for number in range(MOST_LEASES):
        gate.acquire(lease(str(number)), ttl=10)
    gate.acquire(lease("0"), ttl=20)
    with pytest.raises(LeaseLimitError, match=f"{MOST_LEASES} leases"):
        gate.acquire(lease("one more"), ttl=10)
    gate.pass_time(10)
    gate.acquire(lease("one more"), ttl=10)
    assert gate.snapshot.count(HoldKind.LEASE) == 2


def test_the_same_session_again_is_the_same_hold() -> None:
    gate = SimulatedGate()
    gate.acquire(session())
    since = gate.snapshot.holds[0].since
    gate.pass_time(5)
    gate.acquire(session())
    assert gate.snapshot.pending == 1
    assert gate.snapshot.holds[0].since == since
    gate.release(session())
    assert gate.written == "+-"
    gate.release(session())
    assert (gate.written, gate.snapshot.pending) == ("+-", 0)


def test_a_session_whose_plus_fails_keeps_its_hold_and_is_retried_until_written() -> None:
    gate = SimulatedGate()
    gate.fails = {Command.RAISE}
    assert not gate.ok(gate.acquire(session()))
    assert (gate.snapshot.pending, gate.gate) == (1, Gate.FAILING)
    gate.pass_time(200)
    assert gate.gate is Gate.FAILING
    gate.fails.clear()
    gate.pass_time(LONGEST_RETRY)
    assert (gate.written, gate.gate) == ("+", Gate.HELD)


def test_a_session_that_is_gone_is_not_retried() -> None:
    gate = SimulatedGate()
    gate.fails = {Command.RAISE}
    gate.acquire(session())
    gate.release(session())
    gate.pass_time(1000)
    assert (gate.attempts, gate.gate) == ("+", Gate.RELEASED)


def test_retries_come_later_and_later_and_never_end() -> None:
    gate = SimulatedGate()
    gate.fails = {Command.RAISE}
    gate.acquire(session())
    gate.pass_time(0.1 + 0.2 + 0.4)
    assert gate.attempts == "++++"
    gate.pass_time(3600)
    assert len(gate.attempts) == pytest.approx(3600 / LONGEST_RETRY, abs=8)
    assert [retry_delay(n) for n in (1, 2, 9, 10, 10_000)] == [0.1, 0.2, 25.6, 30.0, 30.0]


def test_a_minus_that_fails_is_retried_for_ever() -> None:
    """The original swallowed the error and waited for the next request."""
    gate = SimulatedGate(cooldown=1.0)
    gate.acquire(session())
    gate.fails = {Command.LOWER}
    gate.release(session())
    gate.pass_time(30 * 86_400)
    assert gate.attempts.count("-") == pytest.approx(30 * 86_400 / LONGEST_RETRY, abs=10)
    assert (gate.written, gate.gate) == ("+", Gate.FAILING)
    gate.fails.clear()
    gate.pass_time(LONGEST_RETRY)
    assert (gate.written, gate.gate) == ("+-", Gate.RELEASED)


def test_somebody_who_comes_while_minus_fails_is_held_without_a_write() -> None:
    gate = SimulatedGate()
    gate.acquire(session("ann"))
    gate.fails = {Command.LOWER}
    gate.release(session("ann"))
    assert gate.ok(gate.acquire(session("bob")))
    gate.pass_time(1000)
    assert (gate.attempts, gate.gate) == ("+-", Gate.HELD)


def test_a_dropped_lease_whose_minus_fails_stays_dropped() -> None:
    """As in the original; but the write is tried again by itself."""
    gate = SimulatedGate()
    gate.acquire(lease(), ttl=100)
    gate.fails = {Command.LOWER}
    assert gate.ok(gate.release(lease()))
    assert gate.snapshot.holds == ()
    gate.fails.clear()
    gate.pass_time(0.1)
    assert gate.written == "+-"


@pytest.mark.parametrize("newcomer", [session("bob"), request(), PIN], ids=str)
def test_a_newcomer_is_not_made_to_wait_for_the_back_off(newcomer: HoldKey) -> None:
    gate = SimulatedGate()
    gate.fails = {Command.RAISE}
    gate.acquire(session())
    gate.pass_time(100)
    gate.fails.clear()
    assert gate.ok(gate.acquire(newcomer))
    assert gate.written == "+"


@pytest.mark.parametrize("key", [request(), PIN, lease()], ids=str)
def test_a_failed_write_withdraws_what_its_caller_asked_for(key: HoldKey) -> None:
    gate = SimulatedGate()
    gate.fails = {Command.RAISE}
    gate.acquire(session())
    assert not gate.ok(gate.acquire(key, ttl=10 if key.kind is HoldKind.LEASE else None))
    assert [hold.key for hold in gate.snapshot.holds] == [session()]


def test_a_failed_renewal_leaves_the_lease_as_it_was() -> None:
    gate = SimulatedGate()
    gate.absent = True
    gate.acquire(lease(), ttl=10)
    gate.absent, gate.fails = False, {Command.RAISE}
    assert not gate.ok(gate.acquire(lease(), ttl=100))
    gate.pass_time(10)
    assert gate.snapshot.holds == ()


def test_nobody_brings_back_what_another_caller_gave_up() -> None:
    gate = SimulatedGate()
    first = gate.state.acquire(lease(), gate.now, ttl=100)
    assert gate.state.begin_write(gate.now) is Command.RAISE
    second = gate.state.acquire(lease(), gate.now, ttl=200)
    assert gate.state.give_up(first, gate.now) is not None
    gate.state.finish_write(Outcome(WriteResult.FAILED, "no"), gate.now)
    gate.collect()
    assert not gate.ok(second)
    assert gate.snapshot.holds == ()


def test_an_absent_file_is_no_error_and_gets_no_minus() -> None:
    gate = SimulatedGate()
    gate.absent = True
    assert gate.ok(gate.acquire(session()))
    assert gate.gate is Gate.RELEASED
    gate.release(session())
    gate.pass_time(1000)
    assert gate.attempts == "+"
    assert gate.ok(gate.drain())
    assert gate.attempts == "+"


def test_an_absent_file_that_comes_back_is_found_while_somebody_is_here() -> None:
    gate = SimulatedGate()
    gate.absent = True
    gate.acquire(session())
    gate.absent = False
    gate.pass_time(LONGEST_RETRY)
    assert (gate.written, gate.gate) == ("+", Gate.HELD)


def test_a_file_that_vanished_while_we_hold_is_retried_until_it_is_back() -> None:
    gate = SimulatedGate()
    gate.acquire(session())
    gate.absent = True
    gate.release(session())
    assert gate.gate is Gate.FAILING
    gate.absent = False
    gate.pass_time(0.1)
    assert gate.written == "+-"


def test_a_refused_minus_is_believed_and_not_repeated() -> None:
    gate = SimulatedGate()
    gate.acquire(session())
    gate.counter_is_zero = True
    gate.release(session())
    gate.pass_time(1000)
    assert (gate.attempts, gate.gate) == ("+-", Gate.RELEASED)


def test_a_refused_plus_is_a_failure() -> None:
    gate = SimulatedGate()
    gate.state.acquire(session(), gate.now)
    gate.state.begin_write(gate.now)
    gate.state.finish_write(Outcome(WriteResult.REFUSED), gate.now)
    assert gate.gate is Gate.FAILING


# while a write is in flight


def test_a_hold_that_comes_while_minus_is_in_flight_waits_for_the_next_plus() -> None:
    gate = SimulatedGate()
    gate.acquire(session("ann"))
    gate.state.release(session("ann"), gate.now)
    assert gate.state.begin_write(gate.now) is Command.LOWER
    ticket = gate.state.acquire(session("bob"), gate.now)
    gate.collect()
    assert ticket not in gate.answers
    gate.state.finish_write(Outcome(WriteResult.WRITTEN), gate.now)
    gate.settle()
    assert gate.ok(ticket)
    assert gate.attempts == "++"


def test_a_hold_that_comes_while_minus_fails_needs_no_plus() -> None:
    gate = SimulatedGate()
    gate.acquire(session("ann"))
    gate.state.release(session("ann"), gate.now)
    gate.state.begin_write(gate.now)
    ticket = gate.state.acquire(session("bob"), gate.now)
    gate.state.finish_write(Outcome(WriteResult.FAILED, "no"), gate.now)
    gate.settle()
    assert gate.ok(ticket)
    assert (gate.attempts, gate.gate) == ("+", Gate.HELD)


def test_a_hold_that_goes_while_plus_is_in_flight_is_followed_by_minus() -> None:
    gate = SimulatedGate(cooldown=1.0)
    gate.state.acquire(session(), gate.now)
    gate.state.begin_write(gate.now)
    gate.state.release(session(), gate.now)
    gate.state.finish_write(Outcome(WriteResult.WRITTEN), gate.now)
    assert gate.gate is Gate.COOLDOWN
    gate.pass_time(1)
    assert (gate.attempts, gate.gate) == ("-", Gate.RELEASED)


def test_a_request_that_gave_up_holds_nothing_even_when_its_plus_is_written_later() -> None:
    gate = SimulatedGate()
    ticket = gate.state.acquire(request(), gate.now)
    gate.state.begin_write(gate.now)
    gate.now += 1
    error = gate.state.give_up(ticket, gate.now)
    assert "in time" in str(error)
    assert gate.gate is Gate.FAILING
    gate.state.finish_write(Outcome(WriteResult.WRITTEN), gate.now)
    gate.settle()
    assert (gate.attempts, gate.gate) == ("-", Gate.RELEASED)


def test_a_session_that_gave_up_waiting_still_holds() -> None:
    gate = SimulatedGate()
    ticket = gate.state.acquire(session(), gate.now)
    gate.state.begin_write(gate.now)
    assert gate.state.give_up(ticket, gate.now) is not None
    assert (gate.snapshot.pending, gate.gate) == (1, Gate.FAILING)
    gate.state.finish_write(Outcome(WriteResult.WRITTEN), gate.now)
    gate.settle()
    assert gate.gate is Gate.HELD


def test_giving_up_after_the_answer_changes_nothing() -> None:
    gate = SimulatedGate()
    ticket = gate.acquire(request())
    assert gate.state.give_up(ticket, gate.now) is None
    assert len(gate.snapshot.holds) == 1


def test_an_unpin_that_gave_up_is_pinned_again() -> None:
    gate = SimulatedGate()
    gate.pin()
    ticket = gate.state.release(PIN, gate.now)
    gate.state.begin_write(gate.now)
    assert gate.state.give_up(ticket, gate.now) is not None
    gate.state.finish_write(Outcome(WriteResult.WRITTEN), gate.now)
    gate.settle()
    assert gate.snapshot.count(HoldKind.PIN) == 1
    assert (gate.attempts, gate.gate) == ("++", Gate.HELD)


def test_a_write_that_does_not_return_counts_as_failing() -> None:
    gate = SimulatedGate()
    gate.acquire(session())
    gate.state.release(session(), gate.now)
    gate.state.begin_write(gate.now)
    seen = [gate.gate]
    gate.now += 1.0
    seen.append(gate.gate)
    assert seen == [Gate.COOLDOWN, Gate.FAILING]


# drain


@pytest.mark.parametrize("cooldown", [0.0, 100.0])
def test_drain_forgets_everything_and_takes_our_plus_back_at_once(cooldown: float) -> None:
    gate = SimulatedGate(cooldown=cooldown)
    gate.acquire(session())
    gate.pin()
    gate.acquire(lease(), ttl=100)
    assert gate.ok(gate.drain())
    assert (gate.written, gate.gate, gate.snapshot.holds) == ("+-", Gate.RELEASED, ())
    gate.acquire(session())
    gate.release(session())
    assert gate.ok(gate.pin())
    assert gate.ok(gate.drain())
    gate.pass_time(1000)
    assert (gate.written, gate.snapshot.holds) == ("+-", ())


def test_drain_in_the_cooldown_writes_one_minus() -> None:
    gate = SimulatedGate(cooldown=10)
    gate.acquire(session())
    gate.release(session())
    gate.drain()
    gate.pass_time(100)
    assert gate.written == "+-"


def test_drain_without_a_contribution_writes_nothing() -> None:
    gate = SimulatedGate()
    assert gate.ok(gate.drain())
    assert gate.attempts == ""


def test_drain_waits_for_a_plus_in_flight() -> None:
    gate = SimulatedGate()
    waiting = gate.state.acquire(request(), gate.now)
    gate.state.begin_write(gate.now)
    ticket = gate.state.drain(gate.now)
    gate.collect()
    assert ticket not in gate.answers
    gate.state.finish_write(Outcome(WriteResult.WRITTEN), gate.now)
    gate.settle()
    assert gate.ok(ticket)
    assert gate.ok(waiting)
    assert gate.attempts == "-"


def test_a_failed_drain_is_retried_with_back_off_until_given_up() -> None:
    gate = SimulatedGate()
    gate.acquire(session())
    gate.fails = {Command.LOWER}
    ticket = gate.drain()
    gate.pass_time(1)
    assert ticket not in gate.answers
    assert gate.attempts == "+" + "-" * 4
    assert "EIO" in str(gate.state.give_up(ticket, gate.now))
    assert gate.gate is Gate.FAILING


def test_an_unpin_that_fails_after_drain_does_not_pin_again() -> None:
    gate = SimulatedGate()
    gate.pin()
    gate.state.release(PIN, gate.now)
    gate.state.begin_write(gate.now)
    gate.state.drain(gate.now)
    gate.state.finish_write(Outcome(WriteResult.FAILED, "no"), gate.now)
    gate.pass_time(1)
    assert (gate.snapshot.holds, gate.gate) == ((), Gate.RELEASED)


# crash recovery and accounts


def test_an_adopted_plus_is_taken_back_after_the_cooldown() -> None:
    gate = SimulatedGate(cooldown=1.0)
    gate.state.adopt(gate.now)
    assert gate.gate is Gate.COOLDOWN
    gate.pass_time(1)
    assert gate.written == "-"


def test_an_adopted_plus_serves_those_who_come_in_time() -> None:
    gate = SimulatedGate(cooldown=1.0)
    gate.state.adopt(gate.now)
    assert gate.ok(gate.acquire(session()))
    gate.pass_time(100)
    gate.release(session())
    gate.pass_time(1)
    assert gate.written == "-"


def test_awake_seconds_add_up_by_kind_however_many_hold() -> None:
    gate = SimulatedGate()
    gate.acquire(session("ann"))
    gate.pass_time(10)
    gate.acquire(session("bob"))
    gate.acquire(lease(), ttl=5)
    gate.pass_time(10)
    gate.release(session("ann"))
    gate.release(session("bob"))
    gate.pass_time(10)
    totals = gate.snapshot.awake_seconds
    assert totals[HoldKind.SESSION] == pytest.approx(20)
    assert totals[HoldKind.LEASE] == pytest.approx(5)
    assert totals[HoldKind.PIN] == 0


def test_a_clock_that_steps_back_breaks_nothing() -> None:
    gate = SimulatedGate(cooldown=1.0)
    gate.acquire(session())
    gate.now -= 500
    gate.release(session())
    gate.pass_time(1)
    assert gate.written == "+-"
    assert gate.snapshot.awake_seconds[HoldKind.SESSION] == 0


@pytest.mark.parametrize("hours", [1, 1000])
def test_a_clock_that_jumps_ahead_ends_what_is_over_and_lets_go_of_nobody(hours: int) -> None:
    gate = SimulatedGate(cooldown=1.0)
    gate.acquire(session())
    gate.acquire(lease(), ttl=300)
    gate.now += hours * 3600
    gate.settle()
    assert (gate.snapshot.count(HoldKind.LEASE), gate.snapshot.pending, gate.written) == (0, 1, "+")
    gate.release(session())
    assert gate.gate is Gate.COOLDOWN
    gate.now += hours * 3600
    gate.settle()
    assert (gate.written, gate.gate) == ("+-", Gate.RELEASED)


def test_a_clock_that_jumps_ahead_tries_a_failed_write_once_not_as_often_as_it_was_missed() -> None:
    gate = SimulatedGate()
    gate.fails = {Command.RAISE}
    gate.acquire(session())
    gate.now += 3600
    gate.settle()
    assert gate.attempts == "++"


def test_only_one_write_is_in_flight() -> None:
    gate = SimulatedGate()
    gate.state.acquire(session(), gate.now)
    assert gate.state.begin_write(gate.now) is Command.RAISE
    assert gate.state.begin_write(gate.now) is None
    assert gate.state.next_deadline() is None
