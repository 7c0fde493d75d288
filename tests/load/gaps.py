"""The times between frames, and what they are at their worst."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Gaps:
    """Percentiles of the gaps between frames, ms."""

    count: int
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, rounds: Sequence[Sequence[float]]) -> Gaps:
        """Look at all gaps of several rounds; each round is a list of times (s)."""
        gaps = sorted(
            (later - earlier) * 1000 for times in rounds for earlier, later in itertools.pairwise(times)
        )
        assert len(gaps) >= 100, f"{len(gaps)} gaps say nothing of their longest hundredth"

        def at(share: float) -> float:
            return round(gaps[min(len(gaps) - 1, int(share * len(gaps)))], 1)

        return cls(len(gaps), at(0.5), at(0.95), at(0.99))


def report(name: str, quiet: Gaps, loaded: Gaps) -> None:
    """Print both sides as a line of JSON."""
    figures = {"quiet": vars(quiet), "loaded": vars(loaded), "load": round(os.getloadavg()[0], 1)}
    print(json.dumps({"with": name, **figures}))
