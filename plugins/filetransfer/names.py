"""Which names files may have. Pure."""

from __future__ import annotations

import re

UNFINISHED = ".catnap-upload-"
"""How the names of files begin that are still being received; nobody sees or names them."""

LONGEST = 255
"""Bytes of a name in UTF-8: what the kernel allows."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0080-\u009f\u202a-\u202e\u2066-\u2069]")
"""What hides or turns around parts of a name when it is shown."""


class BadName(ValueError):  # noqa: N818 (it says what the name is)
    """No file of the directory can have this name."""


def existing(name: str) -> str:
    """Return the name of a file to look for: one part of a path, not a path. Raises `BadName`."""
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        raise BadName("the name is no text") from None
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise BadName("the name is empty, or a path")
    if size > LONGEST:
        raise BadName(f"the name has {size} bytes; {LONGEST} are possible")
    if name.startswith(UNFINISHED):
        raise BadName(f"names that begin with {UNFINISHED} are ours")
    return name


def new(name: str) -> str:
    """Return the name of a file to make: the last part of what the client says. Raises `BadName`.

    Stricter than for files that are there: what cannot be shown as it is, is refused.
    """
    last = existing(name.rpartition("/")[2])
    if _CONTROL.search(last):
        raise BadName("the name has control characters")
    return last
