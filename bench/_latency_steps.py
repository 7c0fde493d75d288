"""What each step from a key press to its pixel takes, by the notes of the server and of the window."""

from __future__ import annotations

import bisect
import itertools
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench._latency_viewer import Press

TRACE = "CATNAP_BENCH_TRACE"
"""Environment variable that names the file of the notes, lines `STEP SECONDS` of the monotonic clock."""

NOTES = ("key", "xtest", "app", "drawn", "damage", "read", "converted", "encoded", "loop", "sent")
"""The key came by the data channel; XTEST was asked; the window got the key; it drew; capture saw that; has
the pixels; has the YUV picture; the encoder is done; the event loop has the packet; it is sent.
"""

STEPS = ("pressed", *NOTES, "received", "shown")

EARLIEST = 0.003
"""Seconds by which the clocks of the browser and of the server may differ."""

LONGEST = 1.0


def steps(trace: Path, presses: Sequence[Press], ahead: float) -> Iterator[dict[str, str | float]]:
    """Give medians and 95th percentiles, ms; `ahead`: the wall clock less the monotonic one, seconds."""
    lines = (line.split() for line in trace.read_text().splitlines())
    notes = sorted((float(moment), step) for step, moment in lines)
    times = [_times(notes, one, one.seen, ahead) for one in presses if one.seen is not None]
    for before, after in itertools.pairwise(STEPS):
        took = sorted((one[after] - one[before]) * 1000 for one in times if {before, after} <= one.keys())
        if took:
            p95 = took[int(len(took) * 0.95)]
            median = statistics.median(took)
            yield {"step": f"{before} to {after}", "median": round(median, 2), "p95": round(p95, 2)}


def _times(notes: Sequence[tuple[float, str]], press: Press, seen: float, ahead: float) -> dict[str, float]:
    """Return when each step of a press was, monotonic seconds, as far as they came in order."""
    base = press.origin / 1000 - ahead
    pressed = base + press.pressed / 1000
    times = {"pressed": pressed, "received": base + press.received / 1000, "shown": base + seen / 1000}
    expected = iter(NOTES)
    step = next(expected)
    for moment, name in notes[bisect.bisect_left(notes, (pressed - EARLIEST, "")) :]:
        if moment > pressed + LONGEST:
            break
        if name == step:
            times[name] = moment
            if (following := next(expected, None)) is None:
                break
            step = following
    return times
