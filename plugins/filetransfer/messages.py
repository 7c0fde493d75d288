"""What travels: the event of the file transfer and the shape of its payload. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

UPDATE = "filetransfer/update"
"""From the client, with anything: read the list again. To the client: the list, and what one may do."""

ENABLED = "filetransfer.enabled"
"""Plugin setting of the room and of members."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or directory of the list."""

    name: str
    size: int | None
    """Bytes; None: a directory."""

    def to_wire(self) -> JsonValue:
        """Return it as clients see it."""
        if self.size is None:
            return {"name": self.name, "type": "dir"}
        return {"name": self.name, "type": "file", "size": self.size}


@dataclass(frozen=True, slots=True)
class Rules:
    """What those who are not admins may do, and where the files are."""

    root_dir: str
    user_download: bool
    user_upload: bool
    user_delete: bool


def update(rules: Rules, files: Sequence[Entry] | None, *, enabled: bool) -> dict[str, JsonValue]:
    """Return the payload of `filetransfer/update`; whoever may not use it learns nothing of the files."""
    return {
        "enabled": enabled,
        "root_dir": rules.root_dir if enabled else "",
        "user_download": rules.user_download,
        "user_upload": rules.user_upload,
        "user_delete": rules.user_delete,
        "files": [entry.to_wire() for entry in files] if enabled and files is not None else None,
    }
