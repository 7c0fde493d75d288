"""What one check found, and how that is told."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class State(enum.StrEnum):
    """How a part is."""

    OK = "ok"
    LIMITED = "limited"
    """It runs without this part, but something will be missing."""
    MISSING = "missing"
    """It cannot run without this part."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    part: str
    state: State
    found: str
    """What is there, or what went wrong."""
    remedy: str = ""
    """What to do about it."""


def ok(part: str, found: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(part, State.OK, found)


def missing(part: str, found: str, remedy: str = "") -> Finding:
    """Return a finding that something needed is not there."""
    return Finding(part, State.MISSING, found, remedy)


def limited(part: str, found: str, remedy: str) -> Finding:
    """Return a finding that something useful is not there."""
    return Finding(part, State.LIMITED, found, remedy)


def render(findings: Sequence[Finding]) -> str:
    """Return the report for a person: a line for each part, the remedy below where one is needed."""
    width = max(len(finding.part) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state.value:7}  {finding.part:{width}}  {finding.found}")
        if finding.remedy:
            lines.append(f"{'':7}  {'':{width}}  -> {finding.remedy}")
    count = sum(finding.state is State.MISSING for finding in findings)
    lines.append("")
    lines.append(f"{count} of {len(findings)} parts missing" if count else "ready: catnap serve can run here")
    return "\n".join(lines)
