"""A screen that is all motion, 30 times a second, in a process of its own.

The first line of its output is the display's name; the end of its input ends it.
"""

from __future__ import annotations

import select
import sys
import time
from contextlib import closing

from bench._page import Page

FRAME_RATE = 30


def main(width: int, height: int) -> None:
    """Move until told otherwise."""
    with closing(Page(width, height)) as page:
        page.prepare_jumps()
        print(page.display.name, flush=True)
        due = time.monotonic()
        while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
            page.jump()
            due = max(due + 1 / FRAME_RATE, time.monotonic())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
