"""The kinds of values settings have: each parses and checks itself, and says what it accepts.

A `Form` in a type's annotation is the sentence an error message and the documentation show.
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator


@dataclass(frozen=True, slots=True)
class Form:
    """What values are accepted, as the end of the sentence "accepted: …"."""

    text: str


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit a plain number is in, for the documentation."""

    text: str


@dataclass(frozen=True, slots=True)
class DefaultText:
    """The default in words, where it depends on the machine."""

    text: str


_DURATION_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMG]i?)?[bB]?", re.ASCII)
_SIZE_FACTORS = {
    "": 1,
    "k": 1000,
    "K": 1000,
    "M": 1000**2,
    "G": 1000**3,
    "ki": 1024,
    "Ki": 1024,
    "Mi": 1024**2,
    "Gi": 1024**3,
}
_SCREEN = re.compile(r"(\d{1,4})x(\d{1,4})(?:@(\d{1,3}))?", re.ASCII)
_MIN_SIDE, _MAX_SIDE, _MAX_RATE = 128, 8192, 240


def parse_duration(value: object) -> float:
    """Return seconds for Go's duration syntax (`1h30m`, `250ms`) or a plain number of seconds.

    Raises ValueError for anything else, negative durations included.
    """
    if isinstance(value, bool):
        raise ValueError("not a duration")
    if isinstance(value, int | float):
        if not 0 <= value < float("inf"):
            raise ValueError("not a duration")
        return float(value)
    if not isinstance(value, str):
        raise ValueError("not a duration")
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    seconds, position = 0.0, 0
    while part := _DURATION_PART.match(text, position):
        seconds += float(part[1]) * _DURATION_UNITS[part[2]]
        position = part.end()
    if not text or position != len(text):
        raise ValueError("not a duration")
    return seconds


def format_duration(seconds: float) -> str:
    """Return the shortest Go-style text for a duration: `24h`, `1m30s`, `250ms`, `0s`."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{amount:g}{unit}" for amount, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if amount]
    return "".join(parts) or "0s"


def parse_size(value: object) -> int:
    """Return bytes for `1MiB`, `64kB`, `1048576` or a whole number. Raises ValueError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        size = float(match[1]) * _SIZE_FACTORS[match[2] or ""]
        if size.is_integer():
            return int(size)
    raise ValueError("not a size")


def format_size(size: int) -> str:
    """Return the shortest text for a size in bytes: `1MiB`, `64KiB`, `1500`."""
    for unit, factor in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


@dataclass(frozen=True, slots=True, order=True)
class ScreenSize:
    """A screen: width and height in pixels, rate in frames per second."""

    width: int
    height: int
    rate: int = 30

    @classmethod
    def parse(cls, text: str) -> "ScreenSize":
        """Return the screen that `1280x720@30` names (`@rate` may be absent: 30). Raises ValueError."""
        match = _SCREEN.fullmatch(text.strip())
        if not match:
            raise ValueError(f"{text!r} is not WIDTHxHEIGHT@RATE")
        return cls(int(match[1]), int(match[2]), int(match[3] or 30))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}@{self.rate}"


def _screen(value: object) -> ScreenSize:
    screen = (
        value if isinstance(value, ScreenSize) else ScreenSize.parse(value if isinstance(value, str) else "")
    )
    if not all(_MIN_SIDE <= side <= _MAX_SIDE for side in (screen.width, screen.height)):
        raise ValueError(f"a side is outside {_MIN_SIDE}..{_MAX_SIDE}")
    if not 1 <= screen.rate <= _MAX_RATE:
        raise ValueError(f"the rate is outside 1..{_MAX_RATE}")
    return screen


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`; no host means every IPv4 address. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError("no port from 0 to 65535 after the last colon")
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif ":" in host or any(character.isspace() for character in host):
        raise ValueError("an IPv6 address is written in brackets")
    return host or "0.0.0.0", int(port)  # noqa: S104 (what an empty host means in Go's listen syntax)


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from `first` to `last`, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def _port_range(value: object) -> PortRange | None:
    if value is None or isinstance(value, PortRange):
        return value
    if value == "":
        return None
    match = re.fullmatch(r"\s*(\d{1,5})\s*-\s*(\d{1,5})\s*", str(value), re.ASCII)
    if not match or not 0 < int(match[1]) <= int(match[2]) <= 65535:
        raise ValueError("not a range of ports")
    return PortRange(int(match[1]), int(match[2]))


def _address(value: str) -> str:
    split_address(value)
    return value


def _path_prefix(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._~/-]*", value) or ".." in value.split("/"):
        raise ValueError("not a path")
    return "/" + "/".join(part for part in value.split("/") if part)


def _origin(value: str) -> str:
    if value == "*":
        return value
    parts = urlsplit(value.rstrip("/"))
    port = parts.port  # raises ValueError for a port that is none
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("not an origin")
    if parts.path or parts.query or parts.fragment:
        raise ValueError("not an origin")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")


def _http_url(value: str) -> str:
    if value:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("not a URL of http or https")
    return value


def _ip(value: str) -> str:
    return str(ipaddress.ip_address(value.strip()))


def _required_path(value: object) -> object:
    if value == "":
        raise ValueError("empty")
    return value


def _optional_path(value: object) -> object:
    return None if value == "" else value


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Form("a duration such as 250ms, 5s or 24h"),
    Unit("duration"),
]
"""Seconds."""

ByteSize = Annotated[
    int, BeforeValidator(parse_size), Form("a size such as 64KiB, 1MiB or a number of bytes"), Unit("size")
]
"""Bytes."""

Screen = Annotated[
    ScreenSize,
    BeforeValidator(_screen),
    Form(f"WIDTHxHEIGHT@RATE such as 1280x720@30, sides {_MIN_SIDE} to {_MAX_SIDE}, rate 1 to {_MAX_RATE}"),
    Unit("screen"),
]
"""A screen size that a display can have."""

BindAddress = Annotated[
    str, AfterValidator(_address), Form("host:port such as 127.0.0.1:8080, [::1]:8080 or :8080")
]
"""An address to listen on; `split_address` takes it apart."""

PathPrefix = Annotated[str, AfterValidator(_path_prefix), Form("a path such as / or /browser")]
"""A URL path: begins with a slash and, unless it is the root, does not end with one."""

Origin = Annotated[
    str, AfterValidator(_origin), Form("origins such as https://example.org or http://localhost:3000, or *")
]
"""A web origin, or `*` for every one."""

OptionalPorts = Annotated[
    PortRange | None, BeforeValidator(_port_range), Form("FIRST-LAST such as 59000-59100, or nothing")
]
"""A range of ports; empty text means none."""

HttpUrl = Annotated[str, AfterValidator(_http_url), Form("a URL of http or https, or nothing")]
"""A page."""

IpAddress = Annotated[str, AfterValidator(_ip), Form("IPv4 or IPv6 addresses")]
"""An IP address in its usual form."""

OptionalPath = Annotated[Path | None, BeforeValidator(_optional_path), Form("a path")]
"""A path; empty text means none."""

RequiredPath = Annotated[Path, BeforeValidator(_required_path), Form("a path")]
"""A path that must not be empty."""

LogLevel = Literal["trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled"]
"""The levels of neko's log."""
