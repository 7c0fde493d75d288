"""Durations as people and hypeman's API write them: Go's syntax, `1h30m`, `250ms`, `5m0s`."""

import math
import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)
LONGEST = 10 * 365 * 86400.0
"""Seconds; what is longer is a mistake."""


def parse_duration(value: object) -> float:
    """Return seconds for Go's syntax or a plain number of seconds.

    Raises ValueError for anything else: negative, not finite or longer than ten years included.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is no duration; write it as `1h30m`, `45s` or `250ms`")
    seconds = _parse_text(value.strip()) if isinstance(value, str) else float(value)
    if seconds is None or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST:
        raise ValueError(f"{value!r} is no duration; write it as `1h30m`, `45s` or `250ms`")
    return seconds


def _parse_text(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    seconds, position = 0.0, 0
    while part := _PART.match(text, position):
        seconds += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    return seconds if text and position == len(text) else None


def format_duration(seconds: float) -> str:
    """Return what Go's `Duration.String` prints: `0s`, `1.5ms`, `45s`, `5m0s`, `1h0m0.5s`."""
    nanoseconds = round(seconds * 1e9)
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    nanoseconds = abs(nanoseconds)
    if nanoseconds < 10**9:
        for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if nanoseconds >= size:
                return f"{sign}{_decimal(nanoseconds, size)}{unit}"
    minutes, nanoseconds = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(nanoseconds, 10**9)}s"
    if hours:
        text = f"{hours}h{minutes}m{text}"
    elif minutes:
        text = f"{minutes}m{text}"
    return sign + text


def _decimal(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    digits = f"{rest:0{len(str(size)) - 1}}".rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
