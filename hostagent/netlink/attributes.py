"""Netlink attributes as bytes in and values out (struct nlattr of linux/netlink.h; four-byte aligned,
nested).
"""

import struct
from collections.abc import Iterator

HEADER = struct.Struct("=HH")
"""Length with header, type."""
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF
"""The two high bits say *nested* and *network order*; they are no part of the type."""


def aligned(length: int) -> int:
    """Round up to a multiple of four."""
    return length + 3 & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute with its padding."""
    return HEADER.pack(HEADER.size + len(value), kind) + value + bytes(-len(value) & 3)


def nested(kind: int, *attributes: bytes) -> bytes:
    """Return an attribute that is made of attributes."""
    return attribute(kind | _NESTED, b"".join(attributes))


def spans(data: bytes | memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield type, first and last-plus-one byte of each attribute's value between two offsets.

    Stops without a word at whatever is too short or longer than its place: what a newer kernel adds is
    skipped, and nothing is read beyond `end`.
    """
    size = HEADER.size
    unpack = HEADER.unpack_from
    while start + size <= end:
        length, kind = unpack(data, start)
        if length < size or start + length > end:
            return
        yield kind & _TYPE_MASK, start + size, start + length
        start += length + 3 & ~3
