"""A film without end for a screen: all of it moves in every picture, and every picture is known.

Thirty pictures in a circle. A cloudy pattern slides along, two discs of another pattern go round on it; all
by fractions of a pixel, so that no encoder finds the last picture again. Five squares in the corner say
which of the pictures it is.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy
import numpy.typing

from bench._page import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURES = 30
MARK = 32
"""px: side of a square in the corner, and rows that are not the film's."""

_PERIOD = 512
_OCTAVES = ((8, 1, 55), (32, 1, 40), (128, 1, 25), (16, 3, 15))  # squares a side, colours, amplitude
_DISCS = ((0.3, 0.4, 0.18), (0.68, 0.55, 0.25))  # place and radius as shares of the height

Pixels = numpy.typing.NDArray[numpy.uint8]
Floats = numpy.typing.NDArray[numpy.float32]


def _pattern(seed: int) -> Floats:
    """Return a cloudy pattern in colour that continues at its edges (0 to 255)."""
    chance = numpy.random.default_rng(seed)
    pattern = numpy.full((_PERIOD, _PERIOD, 3), 128, numpy.float32)
    for squares, colours, amplitude in _OCTAVES:
        corners = chance.uniform(-amplitude, amplitude, (squares, squares, colours)).astype(numpy.float32)
        place = numpy.arange(_PERIOD) * squares / _PERIOD
        cell = place.astype(int)
        part = (place - cell).astype(numpy.float32)
        part = part * part * (3 - 2 * part)
        rows = _mix(corners[cell], corners[(cell + 1) % squares], part[:, None, None])
        pattern += _mix(rows[:, cell], rows[:, (cell + 1) % squares], part[None, :, None])
    return numpy.clip(pattern, 0, 255)


def _mix(first: Floats, second: Floats, share: Floats | numpy.float32) -> Floats:
    return first * (1 - share) + second * share


def _window(pattern: Floats, x: float, y: float, width: int, height: int) -> Pixels:
    """Return what a window at a fractional place of the endless pattern shows."""
    left, top = math.floor(x), math.floor(y)
    shifted = numpy.roll(pattern, (-top, -left), (0, 1))
    shifted = _mix(shifted, numpy.roll(shifted, -1, 1), numpy.float32(x - left))
    shifted = _mix(shifted, numpy.roll(shifted, -1, 0), numpy.float32(y - top))
    return numpy.tile(shifted.astype(numpy.uint8), (-(-height // _PERIOD), -(-width // _PERIOD), 1))[
        :height, :width
    ]


def film(width: int, height: int) -> list[Pixels]:
    """Return its pictures, BGRX."""
    return list(_pictures(width, height))


def _pictures(width: int, height: int) -> Iterator[Pixels]:
    ground, cover = _pattern(1), _pattern(2)
    for number in range(PICTURES):
        turn = number / PICTURES
        picture = _window(ground, turn * _PERIOD, turn * _PERIOD, width, height)
        for place, (across, down, radius) in enumerate(_DISCS):
            angle = 2 * math.pi * (turn + place / 2)
            size = 2 * int(radius * height)
            left = int(across * width - size / 2 + 0.1 * height * math.cos(angle))
            top = int(down * height - size / 2 + 0.1 * height * math.sin(angle))
            axis = numpy.arange(size) - size / 2
            inside = axis[:, None] ** 2 + axis[None, :] ** 2 < (size / 2) ** 2
            disc = _window(cover, place * 97 - turn * _PERIOD, place * 31.5, size, size)
            picture[top : top + size, left : left + size][inside] = disc[inside]
        pixels = numpy.zeros((height, width, 4), numpy.uint8)
        pixels[:, :, :3] = picture
        for bit in range(5):
            pixels[:MARK, bit * MARK : (bit + 1) * MARK] = 255 * (number >> bit & 1)
        yield pixels


def number_of(luma: Pixels) -> int:
    """Return which picture this is, by the squares in its corner."""
    middle = MARK // 2
    return sum((int(luma[middle, bit * MARK + middle]) > 127) << bit for bit in range(5))


class Projector:
    """Shows a film on a page's screen."""

    def __init__(self, page: Page, pictures: list[Pixels], fps: int) -> None:
        """Bring the pictures to the X server, which takes as much memory there."""
        self._page = page
        self._fps = fps
        self._count = 0
        self._pixmaps = [page.store(picture.tobytes()) for picture in pictures]

    def run(self, seconds: float) -> None:
        """Show as many pictures as fit, each in its time, or late when the machine is."""
        due = time.monotonic()
        for _ in range(round(seconds * self._fps)):
            self._page.show(self._pixmaps[self._count % PICTURES])
            self._count += 1
            due = max(due + 1 / self._fps, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
