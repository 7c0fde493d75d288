"""What can be written to the control file, and what can come of it."""

import enum
from dataclasses import dataclass


class Command(enum.Enum):
    """One write to the control file."""

    RAISE = "+"
    """Add one to the counter: hold the machine awake."""
    LOWER = "-"
    """Subtract one: take our contribution back."""


class WriteResult(enum.StrEnum):
    """How a write ended."""

    WRITTEN = "written"
    ABSENT = "absent"
    """There is no control file: nothing was written and nothing was created."""
    REFUSED = "refused"
    """`-` at a counter of 0 (ERANGE): there is nothing to take back."""
    FAILED = "failed"
    """Anything else; as far as we know nothing was changed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a write ended, with a sentence for the operator when it failed."""

    result: WriteResult
    error: str = ""


class GateError(Exception):
    """Something the gate could not do."""


class ControlFileError(GateError):
    """The control file did not take a command; the message has the path and the errno."""


class GateWriteError(GateError):
    """The control file could not be written, or not in time; what was asked for has been undone."""


class LeaseLimitError(GateError):
    """There are as many leases as may be."""
