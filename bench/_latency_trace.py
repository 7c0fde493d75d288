"""Runs `catnap` and notes in the file CATNAP_BENCH_TRACE when it passed each step from key to packet.

Lines `STEP SECONDS` of the monotonic clock. Arguments: the command to run, with its arguments.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from streamserver.capture.rung_encoder import RungEncoder
from streamserver.capture.screen_grabber import ScreenGrabber
from streamserver.capture.worker import Worker
from streamserver.cli import main
from streamserver.desktop.xtest import XTestDevices
from streamserver.webrtc.control_channel import ControlChannel
from streamserver.webrtc.frame_sender import FrameSender

STEPS: tuple[tuple[type, str, str, str], ...] = (
    (ControlChannel, "_received", "key", ""),
    (XTestDevices, "flush", "", "xtest"),
    (ScreenGrabber, "read", "damage", "read"),
    (RungEncoder, "encode", "converted", "encoded"),
    (Worker, "_arrived", "loop", ""),
    (FrameSender, "deliver", "", "sent"),
)
"""Class, method, and the steps that its begin and its end are."""


def watch(owner: type, method: str, begin: str, end: str, file: int) -> None:
    """Have a method note when it runs."""
    original: Callable[..., Any] = getattr(owner, method)

    def noted(*arguments: Any, **named: Any) -> Any:
        before = time.monotonic()
        result = original(*arguments, **named)
        lines = f"{begin} {before:.6f}\n" if begin else ""
        if end:
            lines += f"{end} {time.monotonic():.6f}\n"
        os.write(file, lines.encode())
        return result

    setattr(owner, method, noted)


if __name__ == "__main__":
    file = os.open(os.environ["CATNAP_BENCH_TRACE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for step in STEPS:
        watch(*step, file)
    sys.argv = sys.argv[1:]
    main()
