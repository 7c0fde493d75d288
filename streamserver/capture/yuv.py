"""Colour conversion by libyuv: the X server's BGRX rows into the planes of a picture for the encoder."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING

from .errors import CaptureError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from .rows import Rows

LIBRARY = "libyuv.so.0"

BYTES_PER_PIXEL = 4
"""Size of a BGRX pixel."""


_BOX_FILTER = 3  # kFilterBox


@cache
def load_libyuv() -> ctypes.CDLL:
    """Load libyuv; raises `CaptureError` when the system has none."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise CaptureError(f"{LIBRARY} is missing ({error}): apt-get install libyuv0") from error
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    library.ARGBToI420.argtypes = (pointer, integer) * 4 + (integer, integer)
    library.ARGBToI420.restype = integer
    planes = (pointer, integer) * 3 + (integer, integer)
    library.I420Scale.argtypes = (*planes, *planes, integer)
    library.I420Scale.restype = integer
    library.I420Copy.argtypes = ((pointer, integer) * 6) + (integer, integer)
    library.I420Copy.restype = integer
    library.ARGBCopy.argtypes = ((pointer, integer) * 2) + (integer, integer)
    library.ARGBCopy.restype = integer
    library.ARGBBlend.argtypes = ((pointer, integer) * 3) + (integer, integer)
    library.ARGBBlend.restype = integer
    return library


def convert_rows(source: int, stride: int, picture: VideoFrame, rows: Rows) -> None:
    """Convert a band of rows of a BGRX image at address `source` (`stride` bytes a row) into an I420 picture.

    libyuv names pixels by their bytes in a little-endian word: its `ARGB` is B, G, R, X in memory, what X11
    calls depth 24 at 32 bits. Its I420 is BT.601 limited range (16..235), which is what the encoder's
    headers say. Even columns of the picture are covered; the GIL is released meanwhile.
    """
    first, height = rows
    convert_area(source + first * stride, stride, picture, 0, first, picture.width, height)


def convert_area(
    source: int, stride: int, picture: VideoFrame, x: int, y: int, width: int, height: int
) -> None:
    """Convert a BGRX image of that size at address `source` into the picture at x, y; both are even."""
    luma, blue, red = picture.planes
    failed = load_libyuv().ARGBToI420(
        source,
        stride,
        luma.buffer_ptr + y * luma.line_size + x,
        luma.line_size,
        blue.buffer_ptr + y // 2 * blue.line_size + x // 2,
        blue.line_size,
        red.buffer_ptr + y // 2 * red.line_size + x // 2,
        red.line_size,
        width,
        height,
    )
    if failed:
        raise CaptureError(f"libyuv refused {height} rows of {width} px")


def copy_pixels(source: int, stride: int, target: int, target_stride: int, width: int, height: int) -> None:
    """Copy a BGRX image from one address to another; sizes in px, strides in bytes."""
    if load_libyuv().ARGBCopy(source, stride, target, target_stride, width, height):
        raise CaptureError(f"libyuv refused to copy {width}x{height} px")


def blend(source: int, stride: int, target: int, target_stride: int, width: int, height: int) -> None:
    """Lay an image with premultiplied alpha over another; sizes in px, strides in bytes."""
    if load_libyuv().ARGBBlend(source, stride, target, target_stride, target, target_stride, width, height):
        raise CaptureError(f"libyuv refused to blend {width}x{height} px")


def copy(source: VideoFrame, target: VideoFrame) -> None:
    """Copy an I420 picture to another one of the same size."""
    planes = _described(source)[:-2] + _described(target)
    if load_libyuv().I420Copy(*planes):
        raise CaptureError(f"libyuv refused to copy {source.width}x{source.height} px")


def scale(source: VideoFrame, target: VideoFrame) -> None:
    """Fill one I420 picture with another of a different size; each pixel is the mean of those it covers."""
    failed = load_libyuv().I420Scale(*_described(source), *_described(target), _BOX_FILTER)
    if failed:
        raise CaptureError(
            f"libyuv refused to scale {source.width}x{source.height} to {target.width}x{target.height}"
        )


def _described(picture: VideoFrame) -> tuple[int, ...]:
    planes = [value for plane in picture.planes for value in (plane.buffer_ptr, plane.line_size)]
    return (*planes, picture.width, picture.height)
