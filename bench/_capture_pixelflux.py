"""Captures and encodes a display with pixelflux, in its own environment; see `bench.capture`.

Arguments: display, frames a second, kbit/s, width, height, file for the stream. One encoder thread, whole
pictures, every one of them; constant quality under a ceiling as ours: the same rate factor and burst.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench._capture_report import Report

RATE_FACTOR = 22
BURST_SECONDS = 0.4


def main(display: str, fps: int, bitrate: int, width: int, height: int, path: str) -> None:
    """Run until it is told to end."""
    os.environ["DISPLAY"] = display
    os.environ.pop("WAYLAND_DISPLAY", None)
    pixelflux = importlib.import_module("pixelflux")  # reads DISPLAY
    settings = pixelflux.CaptureSettings()
    wishes = {
        "use_wayland": False,
        "capture_width": width,
        "capture_height": height,
        "target_fps": float(fps),
        "codec": "h264",
        "video_fullframe": True,
        "video_streaming_mode": True,
        "omit_stripe_headers": True,
        "use_cpu": True,
        "encode_node_index": -1,
        "cpu_encode_threading": False,
        "video_crf": RATE_FACTOR,
        "video_bitrate_kbps": bitrate,
        "video_vbv_multiplier": BURST_SECONDS * fps,
    }
    for name, value in wishes.items():
        if not hasattr(settings, name):
            raise SystemExit(f"this pixelflux has no setting {name}")
        setattr(settings, name, value)
    report, capture = Report(), pixelflux.ScreenCapture()
    capture.start_capture(lambda frame: report.add(bytes(frame)), settings)
    report.follow()
    capture.stop_capture()
    report.write(path)


if __name__ == "__main__":
    rate, limit, columns, rows = map(int, sys.argv[2:6])
    main(sys.argv[1], rate, limit, columns, rows, sys.argv[6])
