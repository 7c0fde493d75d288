"""What an instance prints, in a file that outlives the agent and stays bounded.

The command writes to the file itself: a pipe would need somebody who reads it while no agent runs. While
instances are awake the agent looks once a second and moves what is too much aside; who sleeps prints nothing.
"""

import os
import shutil
from pathlib import Path

MAX_BYTES = 8 << 20
"""Size above which the log is moved aside; at most twice as much stays on disk, and what one second adds."""


def log_of(data_directory: Path) -> Path:
    """Return the file that the instance prints to; what was before is in the same name with `.1`."""
    return data_directory / "output.log"


def older(log: Path) -> Path:
    """Return where earlier output went."""
    return log.with_name(log.name + ".1")


def bound(log: Path, limit: int = MAX_BYTES) -> bool:
    """Move the log's end aside and empty it when it is larger than `limit` bytes; tell whether.

    Lines written in between are lost: the writer holds the file open and cannot be told to change.
    """
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return False
    if size <= limit:
        return False
    aside = older(log)
    with log.open("rb") as source, aside.with_suffix(".new").open("wb") as target:
        source.seek(max(0, size - limit))
        shutil.copyfileobj(source, target)
        aside.with_suffix(".new").replace(aside)
    os.truncate(log, 0)
    return True


def tail(log: Path, lines: int) -> list[str]:
    """Return the last lines, from before a move aside too."""
    kept: list[str] = []
    for part in (older(log), log):
        try:
            kept += part.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            continue
    return kept[-lines:] if lines > 0 else []
