"""Which rows of the picture have changed. Pure integer arithmetic, in pixels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

MERGE_GAP = 16
"""Rows: bands closer than this are read as one, since a request costs more than a few rows."""


class Rows(NamedTuple):
    """A band of whole rows: `height` of them from row `first` on; both even."""

    first: int
    height: int

    @property
    def end(self) -> int:
        """First row below the band."""
        return self.first + self.height


class Area(NamedTuple):
    """A rectangle as the X server reports it; it may reach outside of the screen."""

    x: int
    y: int
    width: int
    height: int


def damaged_rows(areas: Iterable[Area], width: int, height: int, merge_gap: int = MERGE_GAP) -> list[Rows]:
    """Return the bands of rows that hold every area, clipped to a screen of this size.

    Bands begin and end on even rows, because a chroma row covers two luma rows (4:2:0); a screen of odd
    height loses its last row. They are sorted and further apart than `merge_gap` rows.
    """
    visible = height & ~1
    spans: list[tuple[int, int]] = []
    for x, y, area_width, area_height in areas:
        if x >= width or x + area_width <= 0:
            continue
        top = max(y, 0) & ~1
        bottom = min((y + area_height + 1) & ~1, visible)
        if top < bottom and area_width > 0 and area_height > 0:
            spans.append((top, bottom))
    spans.sort()
    merged: list[tuple[int, int]] = []
    for top, bottom in spans:
        if merged and top - merged[-1][1] <= merge_gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], bottom))
        else:
            merged.append((top, bottom))
    return [Rows(top, bottom - top) for top, bottom in merged]
