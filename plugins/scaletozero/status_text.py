"""The evidence as a person reads it in a terminal: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
"""An object of `Evidence` as JSON."""


def render(evidence: Json) -> Iterator[str]:
    """Yield the lines; what others have written in labels is not made safe for a terminal here."""
    yield evidence["summary"]
    yield ""
    for name, text in _facts(evidence):
        yield f"{name:<13} {text}"
    if evidence["holds"]:
        yield ""
        yield "held by"
        for hold in evidence["holds"]:
            yield f"  {_hold(hold)}"


def _facts(evidence: Json) -> Iterator[tuple[str, str]]:
    yield "gate", evidence["gate"]
    file = evidence["control_file"]
    told = "our '+' is in it" if evidence["actual"] == "awake" else "nothing of ours is in it"
    yield "control file", f"{file['path']}: {'not there' if file['absent'] else told}"
    if (left := evidence["cooldown_left_seconds"]) is not None:
        yield "cooldown", f"{duration(left)} left"
    if flight := evidence["in_flight"]:
        yield "writing", f"'{flight['command']}' for {duration(flight['seconds'])}"
    if last := evidence["last_write"]:
        yield (
            "last write",
            f"'{last['command']}' {last['result']} at {last['at']}, took {duration(last['seconds'])}",
        )
    if trouble := evidence["last_error"]:
        retry = trouble["retry_in_seconds"]
        again = "" if retry is None else f"; tried again in {duration(retry)}"
        yield "last error", f"{trouble['message']} (attempts: {trouble['attempts']}){again}"
    totals = evidence["awake_seconds"].items()
    yield "awake so far", ", ".join(f"{kind} {duration(seconds)}" for kind, seconds in totals)


def _hold(hold: Json) -> str:
    name = f"{hold['id']} {hold['label']}".strip() if hold["kind"] in ("lease", "session") else hold["label"]
    left = hold["seconds_left"]
    ends = "" if left is None else f", ends in {duration(left)}"
    return f"{hold['kind']:<8} {name or hold['id']}, for {duration(hold['age_seconds'])}{ends}"


def duration(seconds: float) -> str:
    """Return `0.4 ms`, `3.2 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms" if seconds else "0 s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
