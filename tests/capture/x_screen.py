"""A real X server for the tests, and a hand that draws on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import xcffib
import xcffib.randr
import xcffib.xproto

from streamserver.desktop.account import Account
from streamserver.desktop.x11 import XDisplay

Card = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]

START_SECONDS = 10.0


class XScreen:
    """An Xvfb of our own, larger than the screen it shows, and a client that draws."""

    def __init__(self, width: int = 640, height: int = 480, owner: Account | None = None) -> None:
        self.width, self.height = width, height
        self._owner = owner
        self.display = XDisplay(f":{self._start(None)}", None, owner)
        self._draw_on_it()

    def _start(self, number: str | None) -> str:
        """Start Xvfb on this display, or a free one; return its number."""
        reading, writing = os.pipe()
        owner = self._owner
        command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1920x1200x24", "-nolisten", "tcp"]
        self._process = subprocess.Popen(
            [*command, "-noreset", *([number] if number else [])],
            pass_fds=[writing],
            stderr=subprocess.DEVNULL,
            user=owner.uid if owner else None,
            group=owner.gid if owner else None,
            extra_groups=[] if owner else None,
        )
        os.close(writing)
        with os.fdopen(reading) as numbers:
            answer = numbers.readline().strip()
        assert answer, "Xvfb did not start"
        return answer

    def _draw_on_it(self) -> None:
        self._connection = self.display.connect()
        self._core = self._connection.core  # type: ignore[has-type]  # xcffib sets it at run time
        self._setup = self._connection.setup  # type: ignore[has-type]
        self._randr = self._connection(xcffib.randr.key)
        self._randr.QueryVersion(1, 3).reply()
        self._root = self._setup.roots[0].root
        self._gc = self._connection.generate_id()
        self._core.CreateGC(self._gc, self._root, 0, [])
        self.resize(self.width, self.height)

    def restart(self) -> None:
        """Start the X server again on the same display after `kill`."""
        self._start(self.display.name)
        self._draw_on_it()

    @property
    def pid(self) -> int:
        return self._process.pid

    def resize(self, width: int, height: int) -> None:
        """Set the RandR size, as the desktop does."""
        name = f"{width}x{height}"
        resources = self._randr.GetScreenResources(self._root).reply()
        modes = {(mode.width, mode.height): mode.id for mode in resources.modes}
        mode = modes.get((width, height))
        if mode is None:
            timing = (0, width, height, width * height * 30, 0, 0, width, 0, 0, 0, height, len(name), 0)
            info = xcffib.randr.ModeInfo.synthetic(*timing)
            mode = self._randr.CreateMode(self._root, info, len(name), name).reply().mode
            self._randr.AddOutputModeChecked(resources.outputs[0], mode).check()
            resources = self._randr.GetScreenResources(self._root).reply()
        crtc, stamp = resources.crtcs[0], resources.config_timestamp
        self._randr.SetCrtcConfig(crtc, 0, stamp, 0, 0, 0, 1, 0, []).reply()
        self._randr.SetScreenSizeChecked(self._root, width, height, width // 4, height // 4).check()
        outputs = list(resources.outputs)
        self._randr.SetCrtcConfig(crtc, 0, stamp, 0, 0, mode, 1, len(outputs), outputs).reply()
        self.width, self.height = width, height

    def fill(self, x: int, y: int, width: int, height: int, colour: int) -> None:
        """Draw one rectangle on the root window; it is there when this returns."""
        core = self._core
        core.ChangeGC(self._gc, xcffib.xproto.GC.Foreground, [colour])
        core.PolyFillRectangle(
            self._root, self._gc, 1, [xcffib.xproto.RECTANGLE.synthetic(x, y, width, height)]
        )
        core.GetInputFocus().reply()

    def draw_card(self, seed: int, block: int = 32) -> Card:
        """Cover the screen with random colours in blocks; return its pixels, height x width x RGB."""
        rows, columns = -(-self.height // block), -(-self.width // block)
        colours = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
        for (row, column), colour in zip(np.ndindex(rows, columns), colours.reshape(-1, 3), strict=True):
            red, green, blue = (int(part) for part in colour)
            self.fill_unseen(column * block, row * block, block, block, red << 16 | green << 8 | blue)
        self._core.GetInputFocus().reply()
        return np.repeat(np.repeat(colours, block, 0), block, 1)[: self.height, : self.width]

    def fill_unseen(self, x: int, y: int, width: int, height: int, colour: int) -> None:
        """Draw one rectangle without waiting for the server."""
        core = self._core
        core.ChangeGC(self._gc, xcffib.xproto.GC.Foreground, [colour])
        core.PolyFillRectangle(
            self._root, self._gc, 1, [xcffib.xproto.RECTANGLE.synthetic(x, y, width, height)]
        )

    def child_window(self, x: int, y: int, width: int, height: int, colour: int) -> None:
        """Map a window with a plain background, as a program would."""
        window = self._connection.generate_id()
        screen = self._setup.roots[0]
        self._core.CreateWindow(
            screen.root_depth,
            window,
            self._root,
            x,
            y,
            width,
            height,
            0,
            xcffib.xproto.WindowClass.InputOutput,
            screen.root_visual,
            xcffib.xproto.CW.BackPixel,
            [colour],
        )
        self._core.MapWindow(window)
        self._core.GetInputFocus().reply()

    def block_pointer(self, size: int, colour: int, hot: int = 0) -> None:
        """Let the pointer be a square of one colour, its hot spot so far from two of its sides."""
        core, connection = self._core, self._connection
        bitmap, gc, cursor = (connection.generate_id() for _ in range(3))
        core.CreatePixmap(1, bitmap, self._root, size, size)
        core.CreateGC(gc, bitmap, xcffib.xproto.GC.Foreground, [1])
        core.PolyFillRectangle(bitmap, gc, 1, [xcffib.xproto.RECTANGLE.synthetic(0, 0, size, size)])
        red, green, blue = (part * 257 for part in colour.to_bytes(3, "big"))
        core.CreateCursor(cursor, bitmap, bitmap, red, green, blue, 0, 0, 0, hot, hot)
        core.ChangeWindowAttributes(self._root, xcffib.xproto.CW.Cursor, [cursor])
        core.GetInputFocus().reply()

    def point(self, x: int, y: int) -> None:
        """Put the pointer there (px)."""
        self._core.WarpPointer(0, self._root, 0, 0, 0, 0, x, y)
        self._core.GetInputFocus().reply()

    def kill(self) -> None:
        """End the X server as a crash would."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self._connection.disconnect()
        self._process.terminate()
        self._process.wait(START_SECONDS)


@contextmanager
def x_screen(width: int = 640, height: int = 480, owner: Account | None = None) -> Iterator[XScreen]:
    screen = XScreen(width, height, owner)
    try:
        yield screen
    finally:
        screen.close()
