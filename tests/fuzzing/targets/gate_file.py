"""The gate's files: commands to the counter that the host agent offers, and the marker of an earlier run.

The first line of an input is a command; the rest is the text of a marker.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

from hostagent.gatefile.counter import LIMIT, InvalidCommandError, OutOfRangeError, apply, shown
from plugins.scaletozero.marker import Legacy, Phase, decide_recovery

MAX_LENGTH = 8192
INSTRUMENTED = (
    "hostagent.gatefile.counter",
    "plugins.scaletozero.marker",
)

BOOT, FILE = "6f0d1c2e-boot", Path("/gate")


class GateFileTarget:
    """Both readers."""

    def feed(self, data: bytes) -> None:
        command, _, marker = data.partition(b"\n")
        for count in (0, 1, LIMIT):
            with contextlib.suppress(InvalidCommandError, OutOfRangeError):
                after = apply(count, command)
                assert 0 <= after <= LIMIT
                assert re.fullmatch(rb"[+-]\d*|=\d+", command)
                assert apply(count, shown(after)) == after, "what is read can be written"
        recovery = decide_recovery(marker.decode("utf-8", "replace"), BOOT, FILE)
        if recovery.legacy is Legacy.OURS:
            assert all(word in marker for word in (b"boot_id", b"phase", b"control_file"))

    def close(self) -> None:
        """Nothing is open."""


def open_target() -> GateFileTarget:
    return GateFileTarget()


def seeds() -> dict[str, bytes]:
    commands = {
        "raise": b"+",
        "lower": b"-",
        "by-three": b"+3",
        "set": b"=2",
        "largest": b"=18446744073709551616",
    }
    markers = {
        phase.value: json.dumps({"boot_id": BOOT, "phase": phase.value, "control_file": str(FILE)}).encode()
        for phase in Phase
    }
    other_boot = markers["held"].replace(b"6f0d", b"0000")
    return {
        **commands,
        **{f"marker-{name}": b"+\n" + text for name, text in markers.items()},
        "marker-of-another-boot": b"-\n" + other_boot,
    }
