"""What the agent tells the launcher: one JSON line."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

HOME = Path("/instance")
"""Where an instance's user has its home, whatever the data directory is called on the host."""
GATE = Path("/uk/libukp/scale_to_zero_disable")
"""Where an instance finds its gate file."""


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """Everything the launcher needs; paths are the host's."""

    command: tuple[str, ...]
    environment: dict[str, str]
    working_directory: str
    host_name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    cgroups: tuple[str, ...]
    """Directories of the cgroups to join."""
    network: str
    """The network namespace (`/run/netns/…`)."""
    home: str
    """Shown as HOME."""
    log: str
    gate_file: str | None
    files: dict[str, str]
    """Text of files that the instance sees instead of the host's (`/etc/passwd`)."""
    init: str
    """The program that is process 1 of the instance."""
    open_files: int
    """Soft limit of open files."""
    code: tuple[str, ...]
    """Directories the command's own code is read from, where we know them: checked before it starts."""

    def to_json(self) -> bytes:
        """Return the line, with its end."""
        return json.dumps(asdict(self)).encode() + b"\n"


def from_json(line: bytes) -> LaunchOrder:
    """Return what `to_json` wrote."""
    fields = json.loads(line)
    for name in ("command", "groups", "cgroups", "code"):
        fields[name] = tuple(fields[name])
    return LaunchOrder(**fields)
