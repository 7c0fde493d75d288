import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from streamserver.config.types import (
    BindAddress,
    Origin,
    PathPrefix,
    Screen,
    ScreenSize,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    split_address,
)

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("24h", 86400.0),
        ("100ms", 0.1),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("5", 5.0),
        (" 2s ", 2.0),
        (".5s", 0.5),
        (7, 7.0),
        (0.25, 0.25),
        ("0", 0.0),
    ],
)
def test_durations_in_the_syntax_of_go(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "1d", "-1s", "1s ago", "1 s", -1, True, None, float("inf"), "1e3", "nan", "١s"]
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(UNITS))), min_size=1, max_size=5))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{amount}{unit}" for amount, unit in parts)
    assert parse_duration(text) == pytest.approx(sum(amount * UNITS[unit] for amount, unit in parts))


@given(st.integers(0, 10**7).map(lambda n: n / 1000))
def test_a_duration_survives_being_written_and_read(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-5)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_of_finite_seconds_or_refused(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert seconds >= 0
    assert math.isfinite(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1MiB", 2**20),
        ("64KiB", 65536),
        ("1kB", 1000),
        ("1.5K", 1500),
        (12, 12),
        ("0", 0),
        ("1GiB", 2**30),
        ("9B", 9),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "1TiB", "-1", -1, "0.3", True, 1.5, None])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError):
        parse_size(text)


@given(st.integers(0, 2**45))
def test_a_size_survives_being_written_and_read(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(128, 8192), st.integers(128, 8192), st.integers(1, 240))
def test_a_screen_survives_being_written_and_read(width: int, height: int, rate: int) -> None:
    screen = ScreenSize(width, height, rate)
    assert TypeAdapter(Screen).validate_python(str(screen)) == screen


@pytest.mark.parametrize(
    "text", ["1280*720", "1280x720@", "100x720@30", "1280x720@0", "1280x720@300", "12800x720@30", ""]
)
def test_what_is_no_screen(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Screen).validate_python(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        (":80", ("0.0.0.0", 80)),
        ("[::1]:0", ("::1", 0)),
        ("[::]:8080", ("::", 8080)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert TypeAdapter(BindAddress).validate_python(text) == text
    assert split_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "8080", "host", "host:", "host:65536", "host:-1", "::1:80", "[x]:80", "a b:80"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(BindAddress).validate_python(text)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("/", "/"), ("", "/"), ("x", "/x"), ("/x/", "/x"), ("//a//b/", "/a/b"), ("/a.b-c_d", "/a.b-c_d")],
)
def test_path_prefixes_begin_with_a_slash_and_end_without(text: str, prefix: str) -> None:
    assert TypeAdapter(PathPrefix).validate_python(text) == prefix


@pytest.mark.parametrize("text", ["/a b", "/../x", "/a?b", "http://x/"])
def test_what_is_no_path_prefix(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(PathPrefix).validate_python(text)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("*", "*"),
        ("https://Example.org/", "https://example.org"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_origins(text: str, origin: str) -> None:
    assert TypeAdapter(Origin).validate_python(text) == origin


@pytest.mark.parametrize(
    "text", ["example.org", "ftp://x", "https://x/path", "https://u@x", "https://x:99999", ""]
)
def test_what_is_no_origin(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Origin).validate_python(text)
