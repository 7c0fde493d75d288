"""How much of its allowance an encoder believes to have, and how much it really has. Pure."""

from __future__ import annotations

LOW = 0.8
"""Share of the whole budget below which a large picture gets fewer bits than a fresh encoder gives it."""


class BitBudget:
    """The leaky bucket of x264's rate control (VBV), followed from outside.

    x264 counts pictures, not time: it pays in `bitrate / fps` with each picture, as if they came at an
    even rate. On a screen that rests none are encoded, so that it still believes to be spent long after
    the link has had time to carry everything. `is_outdated` says when that is so.

    `bitrate` in bits a second; `seconds` of it fit into the bucket.
    """

    def __init__(self, bitrate: float, fps: float, seconds: float) -> None:
        self._bitrate = bitrate
        self._income = bitrate / fps
        self._size = bitrate * seconds
        self._level = self._size

    def spend(self, size: int) -> None:
        """Note an encoded picture of `size` bytes."""
        self._level = min(max(self._level - size * 8, 0.0) + self._income, self._size)

    def is_outdated(self, idle: float) -> bool:
        """Whether x264 believes to be short while `idle` seconds without a picture have brought enough."""
        real = min(self._level + idle * self._bitrate, self._size)
        return self._level < LOW * self._size <= real
