"""A random test card on a display, and how far a viewer's picture is from it."""

import random
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import xcffib
import xcffib.xproto
from playwright.async_api import Page

from streamserver.desktop.x11 import XDisplay

COLUMNS, ROWS = 8, 5


@dataclass(frozen=True)
class Card:
    """Blocks of random colours, row by row; each colour is 0xRRGGBB."""

    colours: tuple[int, ...]

    @classmethod
    def random(cls, seed: int) -> Self:
        """Make a card from `seed`."""
        source = random.Random(seed)
        return cls(tuple(source.randrange(1 << 24) for _ in range(COLUMNS * ROWS)))


class ShownCard:
    """The card as a window over everything else on a display, until exit."""

    def __init__(self, display: XDisplay, card: Card) -> None:
        self._card = card
        self._connection = display.connect()

    def __enter__(self) -> Self:
        connection = self._connection
        core = xcffib.xproto.xprotoExtension(connection)
        screen = connection.get_setup().roots[0]
        geometry = core.GetGeometry(screen.root).reply()
        window = connection.generate_id()
        mask = xcffib.xproto.CW.BackPixel | xcffib.xproto.CW.OverrideRedirect
        core.CreateWindow(
            screen.root_depth, window, screen.root, 0, 0, geometry.width, geometry.height, 0,
            xcffib.xproto.WindowClass.InputOutput, screen.root_visual, mask, [0, 1],
        )  # fmt: skip
        core.MapWindow(window)
        context = connection.generate_id()
        for index, colour in enumerate(self._card.colours):
            row, column = divmod(index, COLUMNS)
            left, right = (geometry.width * edge // COLUMNS for edge in (column, column + 1))
            top, bottom = (geometry.height * edge // ROWS for edge in (row, row + 1))
            if index == 0:
                core.CreateGC(context, window, xcffib.xproto.GC.Foreground, [colour])
            else:
                core.ChangeGC(context, xcffib.xproto.GC.Foreground, [colour])
            block = xcffib.xproto.RECTANGLE.synthetic(left, top, right - left, bottom - top)
            core.PolyFillRectangle(window, context, 1, [block])
        connection.flush()
        core.GetInputFocus().reply()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.disconnect()


MEASURE = """([colours, columns, rows]) => {
    const video = document.querySelector('video');
    const width = video.videoWidth, height = video.videoHeight;
    if (!width || !height) return 255;
    const canvas = document.createElement('canvas');
    canvas.width = width; canvas.height = height;
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.drawImage(video, 0, 0);
    const pixels = context.getImageData(0, 0, width, height).data;
    const column = new Array(width), row = new Array(height);
    for (let i = 0; i < columns; i++)
        column.fill(i, Math.floor(width * i / columns), Math.floor(width * (i + 1) / columns));
    for (let i = 0; i < rows; i++)
        row.fill(i, Math.floor(height * i / rows), Math.floor(height * (i + 1) / rows));
    let sum = 0;
    for (let y = 0, at = 0; y < height; y++)
        for (let x = 0; x < width; x++, at += 4) {
            const colour = colours[row[y] * columns + column[x]];
            sum += Math.abs(pixels[at] - (colour >> 16)) + Math.abs(pixels[at + 1] - (colour >> 8 & 255))
                 + Math.abs(pixels[at + 2] - (colour & 255));
        }
    return sum / (3 * width * height);
}"""


async def error_of(page: Page, card: Card) -> float:
    """Return the mean absolute error, 0..255 per channel, between the page's video and the card."""
    result: float = await page.evaluate(MEASURE, [list(card.colours), COLUMNS, ROWS])
    return result
