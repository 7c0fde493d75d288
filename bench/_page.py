"""An X server that shows a page of text, and a hand that types and scrolls on it."""

from __future__ import annotations

import ctypes
import os
import random
import subprocess
from contextlib import closing
from pathlib import Path

import xcffib
import xcffib.shm
import xcffib.xproto

from streamserver.capture.shared_memory import SharedMemory
from streamserver.capture.yuv import BYTES_PER_PIXEL
from streamserver.desktop.x11 import XDisplay

_FONT = "fixed"  # built into the X server
_MARGIN, _TILE = 256, 24  # px
_COLUMN, _LINE = 6, 19
_WORDS = "The quick brown fox jumps over the lazy dog while a page of plain text waits to be read. "
_BLACK, _WHITE, _BLUE = 0x202020, 0xFFFFFF, 0x3366CC


class Page:
    """An Xvfb of our own with a text-like picture on its root window."""

    def __init__(self, width: int, height: int) -> None:
        """Start it and draw."""
        self.width, self.height = width, height
        reading, writing = os.pipe()
        self._server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"],
            pass_fds=[writing],
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as numbers:
            number = numbers.readline().strip()
        if not number:
            raise SystemExit("Xvfb did not start: apt-get install xvfb")
        self.display = XDisplay(f":{number}", None, None)
        self._connection = self.display.connect()
        self._core = self._connection.core  # type: ignore[has-type]  # xcffib sets it at run time
        self._screen = self._connection.setup.roots[0]  # type: ignore[has-type]
        self._root = self._screen.root
        font = self._connection.generate_id()
        self._core.OpenFontChecked(font, len(_FONT), _FONT).check()
        self._gc = self._connection.generate_id()
        gc = xcffib.xproto.GC
        values = [_BLACK, _WHITE, font, 0]
        mask = gc.Foreground | gc.Background | gc.Font | gc.GraphicsExposures
        self._core.CreateGCChecked(self._gc, self._root, mask, values).check()
        self._draw()
        self._typed = 0

    def type_glyph(self) -> None:
        """Draw the next character of a line, as a text field would."""
        self._typed += 1
        x, letter = 40 + 6 * (self._typed % 100), chr(97 + self._typed % 26)
        self._core.ImageText8(1, self._root, self._gc, x, self.height // 2, letter)
        self._connection.flush()

    def scroll(self) -> None:
        """Move the whole page up by 12 px; what leaves at the top comes back at the bottom."""
        gap, rest = 12, self.height - 12
        self._core.CopyArea(self._spare, self._root, self._gc, 0, gap, 0, 0, self.width, rest)
        self._core.CopyArea(self._spare, self._root, self._gc, 0, 0, 0, rest, self.width, gap)
        self._core.CopyArea(self._root, self._spare, self._gc, 0, 0, 0, 0, self.width, self.height)
        self._connection.flush()

    def prepare_jumps(self) -> None:
        """Draw what `jump` shows: a mosaic larger than the screen."""
        core, chance = self._core, random.Random(1)
        width, height = self.width + _MARGIN, self.height + _MARGIN
        self._mosaic = self._connection.generate_id()
        core.CreatePixmap(self._screen.root_depth, self._mosaic, self._root, width, height)
        for _ in range(256):
            self._colour(chance.randrange(1 << 24))
            tiles = [
                xcffib.xproto.RECTANGLE.synthetic(
                    chance.randrange(width), chance.randrange(height), _TILE, _TILE
                )
                for _ in range(120)
            ]
            core.PolyFillRectangle(self._mosaic, self._gc, len(tiles), tiles)
        core.GetInputFocus().reply()

    def jump(self) -> None:
        """Show another part of the mosaic: motion that no encoder foresees, so that it takes all it may."""
        x, y = random.randrange(_MARGIN), random.randrange(_MARGIN)
        self._core.CopyArea(self._mosaic, self._root, self._gc, x, y, 0, 0, self.width, self.height)
        self._connection.flush()

    def store(self, pixels: bytes) -> int:
        """Bring a picture of the screen's size (BGRX) to the X server; return its pixmap."""
        core, pixmap = self._core, self._connection.generate_id()
        core.CreatePixmap(self._screen.root_depth, pixmap, self._root, self.width, self.height)
        size = self.width * self.height * BYTES_PER_PIXEL
        with closing(SharedMemory(size)) as memory:
            ctypes.memmove(memory.address, pixels, size)
            shm, segment = self._connection(xcffib.shm.key), self._connection.generate_id()
            shm.AttachChecked(segment, memory.id, True).check()
            shm.PutImageChecked(
                pixmap, self._gc, self.width, self.height, 0, 0, self.width, self.height, 0, 0,
                self._screen.root_depth, xcffib.xproto.ImageFormat.ZPixmap, False, segment, 0,
            ).check()  # fmt: skip
            shm.DetachChecked(segment).check()
        return int(pixmap)

    def show(self, pixmap: int) -> None:
        """Show a stored picture."""
        self._core.CopyArea(pixmap, self._root, self._gc, 0, 0, 0, 0, self.width, self.height)
        self._connection.flush()

    def server_seconds(self) -> float:
        """CPU seconds the X server has used, user and system, all threads."""
        tasks = Path(f"/proc/{self._server.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def close(self) -> None:
        """End the X server."""
        self._connection.disconnect()
        self._server.terminate()
        self._server.wait()

    def _draw(self) -> None:
        core, root, gc = self._core, self._root, self._gc
        whole = xcffib.xproto.RECTANGLE.synthetic(0, 0, self.width, self.height)
        self._colour(_WHITE)
        core.PolyFillRectangle(root, gc, 1, [whole])
        self._colour(_BLUE)
        core.PolyFillRectangle(root, gc, 1, [xcffib.xproto.RECTANGLE.synthetic(0, 0, self.width, 60)])
        self._colour(_BLACK)
        columns = min(100, (self.width - 80) // _COLUMN)
        left = (self.width - columns * _COLUMN) // 2
        for row in range((self.height - 90) // _LINE):
            text = (_WORDS[row % 40 :] + _WORDS * 2)[: columns if row % 6 else columns // 3]
            core.ImageText8(len(text), root, gc, left, 90 + row * _LINE, text)
        self._colour(_BLACK)
        depth = self._screen.root_depth
        self._spare = self._connection.generate_id()
        core.CreatePixmap(depth, self._spare, root, self.width, self.height)
        core.CopyArea(root, self._spare, gc, 0, 0, 0, 0, self.width, self.height)
        core.GetInputFocus().reply()

    def _colour(self, colour: int) -> None:
        self._core.ChangeGC(self._gc, xcffib.xproto.GC.Foreground, [colour])
