"""The pointer drawn into the picture, for viewers who are not sent its look and position."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import xcffib
import xcffib.xfixes
import xcffib.xproto

from .errors import ScreenLostError
from .screen_grabber import Display, ScreenGrabber
from .yuv import BYTES_PER_PIXEL, blend, convert_area, copy_pixels

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


class Pointer:
    """Knows where the pointer is and what it looks like; draws it.

    Owns one connection to the X server; used by the capture thread. The server tells of new looks, for the
    position it has to be asked.
    """

    def __init__(self, display: Display) -> None:
        self._connection = display.connect()
        self._position = (-1, -1)
        self._renewed = True
        self._hot = (0, 0)
        self._size = (0, 0)
        self._pixels: ctypes.Array[ctypes.c_uint32] = (ctypes.c_uint32 * 1)()
        self._scratch: ctypes.Array[ctypes.c_uint32] = (ctypes.c_uint32 * 1)()
        try:
            self._core = self._connection.core  # type: ignore[has-type]  # xcffib sets it at run time
            if not self._core.QueryExtension(6, "XFIXES").reply().present:
                raise ScreenLostError(f"display {display.name} lacks XFIXES: use Xvfb or Xorg")
            self._fixes = self._connection(xcffib.xfixes.key)
            self._fixes.QueryVersion(5, 0).reply()
            self._root = self._connection.setup.roots[self._connection.pref_screen].root  # type: ignore[has-type]
            self._fixes.SelectCursorInput(self._root, xcffib.xfixes.CursorNotifyMask.DisplayCursor)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give up the connection. Safe to call again."""
        self._connection.disconnect()

    def moved(self) -> bool:
        """Ask the server; return whether the pointer looks otherwise or is elsewhere than last time."""
        while (event := self._connection.poll_for_event()) is not None:
            if isinstance(event, xcffib.xfixes.CursorNotifyEvent):
                self._renewed = True
        renewed, self._renewed = self._renewed, False
        if renewed:
            self._take_look()
        answer = self._core.QueryPointer(self._root).reply()
        before, self._position = self._position, (answer.root_x, answer.root_y)
        return renewed or before != self._position

    def draw(self, grabber: ScreenGrabber, picture: VideoFrame) -> None:
        """Draw it into a picture that shows what the grabber holds."""
        width, height = self._size
        left, top = self._position[0] - self._hot[0], self._position[1] - self._hot[1]
        first_x, first_y = max(left, 0), max(top, 0)
        end_x, end_y = min(left + width, picture.width), min(top + height, picture.height)
        if first_x >= end_x or first_y >= end_y:
            return
        # whole pixels of the colour planes, which have half the size
        x, y = first_x & ~1, first_y & ~1
        wide, high = (end_x - x + 1) & ~1, (end_y - y + 1) & ~1
        if len(self._scratch) < wide * high:
            self._scratch = (ctypes.c_uint32 * (wide * high))()
        scratch, stride = ctypes.addressof(self._scratch), wide * BYTES_PER_PIXEL
        copy_pixels(
            grabber.address + y * grabber.stride + x * BYTES_PER_PIXEL,
            grabber.stride,
            scratch,
            stride,
            wide,
            high,
        )
        look = ctypes.addressof(self._pixels) + ((first_y - top) * width + first_x - left) * BYTES_PER_PIXEL
        place = scratch + (first_y - y) * stride + (first_x - x) * BYTES_PER_PIXEL
        blend(look, width * BYTES_PER_PIXEL, place, stride, end_x - first_x, end_y - first_y)
        convert_area(scratch, stride, picture, x, y, wide, high)

    def _take_look(self) -> None:
        image = self._fixes.GetCursorImage().reply()
        pixels = list(image.cursor_image)
        self._size, self._hot = (image.width, image.height), (image.xhot, image.yhot)
        self._pixels = (ctypes.c_uint32 * max(len(pixels), 1))(*pixels)
