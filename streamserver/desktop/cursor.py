"""The pointer's picture: from the X server's premultiplied ARGB to a PNG (pure)."""

import struct
import zlib
from dataclasses import dataclass

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGBA, _DEPTH = 6, 8


@dataclass(frozen=True, slots=True)
class CursorImage:
    """What the pointer looks like; all sizes in px, the hot spot is the pixel that points."""

    serial: int
    width: int
    height: int
    hotspot_x: int
    hotspot_y: int
    png: bytes


def straight_rgba(argb: bytes) -> bytes:
    """Return R, G, B, A bytes with colours not multiplied by alpha.

    `argb` is what XFixes gives on a little-endian server: B, G, R, A bytes, each colour multiplied by alpha.
    """
    rgba = bytearray(len(argb))
    rgba[0::4], rgba[1::4], rgba[2::4], rgba[3::4] = argb[2::4], argb[1::4], argb[0::4], argb[3::4]
    for pixel, alpha in enumerate(argb[3::4]):
        if alpha in (0, 255):
            continue
        for byte in range(pixel * 4, pixel * 4 + 3):
            rgba[byte] = min(255, (rgba[byte] * 255 + alpha // 2) // alpha)
    return bytes(rgba)


def encode_png(width: int, height: int, rgba: bytes) -> bytes:
    """Return a PNG of straight RGBA pixels (RFC 2083), rows unfiltered: cursors are small."""
    stride = width * 4
    rows = b"".join(b"\0" + rgba[row * stride : (row + 1) * stride] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, _DEPTH, _RGBA, 0, 0, 0)
    return (
        _PNG_SIGNATURE
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows, 6))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
