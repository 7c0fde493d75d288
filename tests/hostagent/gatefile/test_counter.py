"""The counter of a gate file, against a model of the platform's rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostagent.gatefile import counter
from hostagent.gatefile.counter import LIMIT, InvalidCommandError, OutOfRangeError, apply

COUNTS = st.integers(0, LIMIT) | st.integers(0, 3) | st.integers(LIMIT - 3, LIMIT)
AMOUNTS = st.integers(0, LIMIT * 4) | st.integers(0, 3)


@pytest.mark.parametrize(
    ("before", "command", "after"),
    [
        (0, b"+", 1), (1, b"-", 0), (7, b"=3", 3), (7, b"=0", 0), (1, b"+5", 6), (6, b"-5", 1), (1, b"+0", 1),
        (1, b"-0", 1), (0, b"=007", 7), (0, b"=18446744073709551616", LIMIT), (LIMIT - 1, b"+", LIMIT),
    ],
)  # fmt: skip
def test_a_command_changes_the_count(before: int, command: bytes, after: int) -> None:
    assert apply(before, command) == after


@pytest.mark.parametrize(
    "command",
    [
        b"", b"=", b"x", b"++", b"+-", b"1", b" +", b"+\n", b"=1\n", b"+ 1", b"=-1", b"=+1", b"+1.0", b"\0",
        b"+\0", "=٣".encode(), b"+" + b"1" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_command_is_refused(command: bytes) -> None:
    with pytest.raises(InvalidCommandError):
        apply(1, command)


@pytest.mark.parametrize(
    ("before", "command"),
    [(0, b"-"), (4, b"-5"), (LIMIT, b"+"), (0, b"=18446744073709551617"), (0, b"=" + b"9" * 4000)],
)
def test_a_result_that_is_no_count_is_refused(before: int, command: bytes) -> None:
    with pytest.raises(OutOfRangeError):
        apply(before, command)


@given(COUNTS, st.sampled_from("+-="), AMOUNTS)
def test_commands_count_or_leave_the_count_alone(before: int, sign: str, amount: int) -> None:
    wanted = {"+": before + amount, "-": before - amount, "=": amount}[sign]
    command = f"{sign}{amount}".encode()
    if 0 <= wanted <= LIMIT:
        assert apply(before, command) == wanted
    else:
        with pytest.raises(OutOfRangeError):
            apply(before, command)


@given(COUNTS, st.binary(max_size=8))
def test_any_text_gives_a_count_or_one_of_two_refusals(before: int, text: bytes) -> None:
    try:
        after = apply(before, text)
    except (InvalidCommandError, OutOfRangeError):
        return
    assert 0 <= after <= LIMIT
    assert text[:1] in (b"+", b"-", b"=")


@given(COUNTS)
def test_what_is_read_can_be_written_back(count: int) -> None:
    assert apply(0, counter.shown(count)) == count
