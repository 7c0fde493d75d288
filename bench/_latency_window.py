"""The application that `bench.latency` looks at: each key changes the colour of a patch of the screen.

It does nothing else, so that its own share is small: no toolkit, one request a key. The first line of its
output says that it is shown; the end of its input ends it. Arguments: the display's name and its cookie file.
With a file named in CATNAP_BENCH_TRACE it writes there when each key came and when the colour was asked for.
"""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path

import xcffib.xproto

from streamserver.desktop.x11 import XDisplay

PATCH = (320, 180, 640, 360)
"""x, y, width and height of the patch, px of 1280x720."""

DARK, BRIGHT, GROUND = 0x202020, 0xF0F0F0, 0x506070


def main(display: XDisplay) -> None:
    """Show the window and obey."""
    connection = display.connect()
    core = connection.core  # type: ignore[has-type]  # xcffib sets it at run time
    screen = connection.setup.roots[connection.pref_screen]  # type: ignore[has-type]
    proto = xcffib.xproto
    window, patch, gc = (connection.generate_id() for _ in range(3))
    place = (0, 0, screen.width_in_pixels, screen.height_in_pixels)
    # the window manager is not asked: the whole screen, above everything
    for made, parent, where, colour in ((window, screen.root, place, GROUND), (patch, window, PATCH, DARK)):
        core.CreateWindowChecked(
            screen.root_depth,
            made,
            parent,
            *where,
            0,
            proto.WindowClass.InputOutput,
            screen.root_visual,
            proto.CW.BackPixel | proto.CW.OverrideRedirect,
            [colour, 1],
        ).check()
    core.CreateGCChecked(gc, patch, proto.GC.Foreground, [DARK]).check()
    core.MapSubwindows(window)
    core.MapWindow(window)
    core.ChangeKeyboardControl(proto.KB.AutoRepeatMode, [proto.AutoRepeatMode.Off])  # one key, one change
    mode = proto.GrabMode.Async
    for _ in range(100):  # someone may hold the keyboard for a moment
        reply = core.GrabKeyboard(False, window, proto.Time.CurrentTime, mode, mode).reply()
        if reply.status == proto.GrabStatus.Success:
            break
        time.sleep(0.05)
    else:
        raise SystemExit(f"the keyboard of {display.name} is held by somebody else: {reply.status}")
    print("shown", flush=True)
    trace = os.environ.get("CATNAP_BENCH_TRACE")
    log = Path(trace).open("a", buffering=1) if trace else None  # noqa: SIM115 - open until the process ends
    whole = [proto.RECTANGLE.synthetic(0, 0, *PATCH[2:])]
    descriptor, bright = connection.get_file_descriptor(), False
    while True:
        while (event := connection.poll_for_event()) is not None:
            if not isinstance(event, proto.KeyPressEvent):
                continue
            came = time.monotonic()
            bright = not bright
            core.ChangeGC(gc, proto.GC.Foreground, [BRIGHT if bright else DARK])
            core.PolyFillRectangle(patch, gc, 1, whole)
            connection.flush()
            if log is not None:
                log.write(f"app {came:.6f}\ndrawn {time.monotonic():.6f}\n")
        if sys.stdin in select.select([descriptor, sys.stdin], [], [])[0]:
            return


if __name__ == "__main__":
    main(XDisplay(sys.argv[1], Path(sys.argv[2]), None))
