"""Durations as Go writes and reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostagent.durations import LONGEST, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds", "canonical"),
    [
        ("300s", 300, "5m0s"),
        ("1h30m", 5400, "1h30m0s"),
        ("250ms", 0.25, "250ms"),
        ("1.5s", 1.5, "1.5s"),
        ("90", 90, "1m30s"),
        ("0", 0, "0s"),
        ("1500us", 0.0015, "1.5ms"),
        ("10ns", 1e-8, "10ns"),
        ("1h0.5s", 3600.5, "1h0m0.5s"),
        ("2562h", 2562 * 3600, "2562h0m0s"),
    ],
)
def test_as_go_does(text: str, seconds: float, canonical: str) -> None:
    assert parse_duration(text) == pytest.approx(seconds)
    assert format_duration(parse_duration(text)) == canonical


@pytest.mark.parametrize(
    "value", ["", "5 minutes", "-1s", "1s5", -1, True, None, "inf", float("nan"), "9999999h"]
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(value)


@given(st.integers(min_value=0, max_value=int(LONGEST * 1000)))
def test_what_is_written_is_read_again(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-6)
