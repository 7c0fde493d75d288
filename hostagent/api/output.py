"""Reads an instance's output while it grows."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

POLL = 0.2
"""Seconds between two looks while somebody follows; nobody looks otherwise."""
QUIET = 15.0
"""Seconds without output after which None is given, so that a reader that is gone is noticed."""
_CHUNK = 1 << 16


async def follow(path: Path, position: int) -> AsyncIterator[str | None]:
    """Yield lines written after `position`, for ever; None after a long silence.

    A file that became shorter was moved aside: it is read from its beginning.
    """
    rest, silent = b"", 0.0
    while True:
        chunk, position = await asyncio.to_thread(_read, path, position)
        if not chunk:
            await asyncio.sleep(POLL)
            silent += POLL
            if silent >= QUIET:
                silent = 0.0
                yield None
            continue
        silent = 0.0
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
        if len(rest) > _CHUNK:
            yield rest.decode("utf-8", "replace")
            rest = b""


def _read(path: Path, position: int) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) < position:
                position = 0
            file.seek(position)
            chunk = file.read(_CHUNK)
    except FileNotFoundError:
        return b"", 0
    return chunk, position + len(chunk)


def size(path: Path) -> int:
    """Return how long the file is, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
