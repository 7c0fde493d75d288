"""Which cgroup hierarchies this machine has, read from mountinfo; pure but for the reading."""

from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where the controllers we use are mounted; None when they are not."""

    unified: Path | None
    """cgroup v2: its freezer needs no controller."""
    unified_memory: bool
    """The memory controller is with v2."""
    freezer: Path | None
    """The freezer of v1."""
    memory: Path | None
    """Memory of v1."""


def find_hierarchies(mountinfo: str | None = None) -> Hierarchies:
    """Read proc(5)'s mountinfo (of this process by default)."""
    text = MOUNTS.read_text() if mountinfo is None else mountinfo
    unified = freezer = memory = None
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        place, kind, options = (
            Path(_unescaped(before.split()[4])),
            after.split()[0],
            after.split()[-1].split(","),
        )
        if kind == "cgroup2":
            unified = unified or place
        elif kind == "cgroup":
            freezer = place if "freezer" in options else freezer
            memory = place if "memory" in options else memory
    controllers = unified / "cgroup.controllers" if unified else None
    try:
        with_memory = controllers is not None and "memory" in controllers.read_text().split()
    except OSError:
        with_memory = False
    return Hierarchies(unified, with_memory, freezer, memory)


def _unescaped(path: str) -> str:
    return path.encode().decode("unicode_escape") if "\\" in path else path
