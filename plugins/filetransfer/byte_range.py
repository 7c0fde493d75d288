"""Which bytes of a file a request wants (RFC 9110, 14). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))", re.ASCII | re.IGNORECASE)


class RangeNotSatisfiable(ValueError):  # noqa: N818 (the name of the status)
    """The range begins behind the end."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int


def wanted(header: str | None, size: int) -> ByteRange | None:
    """Return the range of a `Range` header; None: the whole file.

    Several ranges, and what cannot be read, ask for nothing we have to give. Raises `RangeNotSatisfiable`.
    """
    match = _ONE_RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, stop = max(0, size - int(suffix)), size
        if int(suffix) == 0:
            raise RangeNotSatisfiable
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if start >= size:
        raise RangeNotSatisfiable
    return ByteRange(start, stop)
