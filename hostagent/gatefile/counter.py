"""What a write to a gate file does to its counter; pure.

The platform's rules: `+` and `-` count by one, `+N` and `-N` by N, `=N` sets; anything else is EINVAL, a
result that does not fit ERANGE. Source: Unikraft Cloud, "Scale-to-Zero", the file `scale_to_zero_disable`.
"""

import re
from typing import Final

LIMIT: Final = 2**64
"""The largest count; a result above it, or below 0, is refused."""
MAX_COMMAND: Final = 4096
"""Bytes of the longest command that is looked at."""

_COMMAND = re.compile(rb"([+-])(\d*)|=(\d+)", re.ASCII)


class InvalidCommandError(ValueError):
    """Not a command (EINVAL)."""


class OutOfRangeError(ValueError):
    """The count would leave 0 to `LIMIT` (ERANGE); it stays as it was."""


def apply(count: int, command: bytes) -> int:
    """Return the count after one write.

    Raises:
        InvalidCommandError: for text that is no command, a trailing newline too.
        OutOfRangeError: for a result that is no count.
    """
    match = _COMMAND.fullmatch(command) if len(command) <= MAX_COMMAND else None
    if match is None:
        raise InvalidCommandError(f"{command[:32]!r} is none of +, -, +N, -N, =N")
    sign, step, value = match.groups()
    if value is not None:
        result = _number(value)
    else:
        amount = _number(step) if step else 1
        result = count + amount if sign == b"+" else count - amount
    if not 0 <= result <= LIMIT:
        raise OutOfRangeError(f"{command[:32]!r} at {count} leaves 0 to 2^64")
    return result


def shown(count: int) -> bytes:
    """Return what a read gives."""
    return b"=%d" % count


def _number(digits: bytes) -> int:
    significant = digits.lstrip(b"0")
    if len(significant) > len(str(LIMIT)):
        raise OutOfRangeError(f"a number of {len(significant)} digits is above 2^64")
    return int(significant or b"0")
