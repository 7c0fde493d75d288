"""What a capturing process of `bench.capture` tells: needs nothing but Python, so that it runs in a peer's
environment, too.
"""

from __future__ import annotations

import json
import struct
import sys
import time
from pathlib import Path


class Report:
    """The stream, and what it took between the lines `begin` and `end` of the input."""

    def __init__(self) -> None:
        self._units: list[bytes] = []

    def add(self, unit: bytes) -> None:
        """Keep one access unit."""
        self._units.append(unit)

    def follow(self) -> None:
        """Say `ready` with the first picture, measure between the lines of the input, print the figures."""
        while not self._units:
            time.sleep(0.02)
        print("ready", flush=True)
        sys.stdin.readline()
        first, began, cpu = len(self._units), time.monotonic(), time.process_time()
        sys.stdin.readline()
        cpu, took, last = time.process_time() - cpu, time.monotonic() - began, len(self._units)
        figures = {"first": first, "last": last, "seconds": took, "cpu_seconds": cpu}
        print(json.dumps(figures), flush=True)

    def write(self, path: str) -> None:
        """Write every access unit after its length."""
        with Path(path).open("wb") as file:
            for unit in self._units:
                file.write(struct.pack("!I", len(unit)) + unit)
