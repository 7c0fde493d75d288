"""When the machine let this process do nothing: what happened then says nothing about the product."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

NAP, SLACK = 0.005, 0.003
"""Seconds: what waking up on a machine with two cores varies by, whoever else runs."""

BUSY = 0.1
"""Share of the time from which on nothing can be timed. A server that is late itself sees its viewers'
networks late, too, and a browser that cannot play in time holds sound back.
"""


class HoldUps:
    """A thread that only sleeps, and notes when it was woken late. Times are those of `time.monotonic`."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._late: list[tuple[float, float]] = []
        self._over = False
        self._thread = threading.Thread(target=self._sleep, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._over = True
        self._thread.join()

    def seconds(self, began: float, ended: float) -> float:
        """Seconds between two moments in which nothing was done; 0: it worked all the time."""
        parts = (min(ended, late_to) - max(began, late_from) for late_from, late_to in list(self._late))
        return sum(part for part in parts if part > 0)

    @property
    def share(self) -> float:
        """The share of the time so far in which nothing was done."""
        now = time.monotonic()
        return self.seconds(self._began, now) / (now - self._began)

    def _sleep(self) -> None:
        while not self._over:
            before = time.monotonic()
            time.sleep(NAP)
            after = time.monotonic()
            if after - before > NAP + SLACK:
                self._late.append((before, after))
