"""Files that viewers send, where the browser's user can read them, for a while."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from streamserver.desktop.account import Account
from streamserver.desktop.errors import DesktopError
from streamserver.logs import get_logger

KEEP = 3600.0
"""Seconds files are kept: pages read them when it suits them."""
MAX_KEPT = 16
"""Uploads that are kept at a time; the oldest goes first."""
MAX_NAME = 200
"""Bytes of a file's name."""
_PIECE = 256 * 1024

log = get_logger("desktop")


class UploadError(DesktopError):
    """The files cannot be stored; the message says why."""


def safe_name(given: str) -> str:
    """Return the last part of a client's name for a file, such that a file can have it; else `file`."""
    name = given.replace("\\", "/").rpartition("/")[2]
    name = "".join(character for character in name if character.isprintable() and character != "\ufffd")
    encoded = name.encode("utf-8", "ignore")
    if len(encoded) > MAX_NAME:
        stem, dot, suffix = name.rpartition(".")
        suffix = dot + suffix if stem and len(suffix.encode()) <= 16 else ""
        kept = encoded[: MAX_NAME - len(suffix.encode())].decode("utf-8", "ignore")
        name = kept + suffix
    else:
        name = encoded.decode("utf-8")
    return name if name.strip(". ") else "file"


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names with a number where one comes again."""
    taken: set[str] = set()
    made = []
    for name in names:
        candidate, count = name, 1
        while candidate in taken:
            count += 1
            stem, dot, suffix = name.rpartition(".")
            candidate = f"{stem} ({count}).{suffix}" if stem and dot else f"{name} ({count})"
        taken.add(candidate)
        made.append(candidate)
    return made


class Uploads:
    """Directories of files, one for each upload, below one that only the browser's user may enter."""

    def __init__(self, parent: Path, account: Account) -> None:
        """Take the run directory of the desktop and the browser's user."""
        self._parent = parent
        self._account = account
        self._kept: list[tuple[float, Path]] = []

    async def store(self, files: Sequence[tuple[str, BinaryIO]]) -> list[Path]:
        """Copy these files (name, content); return where they are.

        Raises:
            UploadError: there is no room, or the directory is gone.
        """
        self.clear_old()
        names = distinct([safe_name(name) for name, _ in files])
        contents = [content for _, content in files]
        directory, paths = await asyncio.to_thread(self._store, names, contents)
        self._kept.append((time.monotonic(), directory))
        return paths

    def clear_old(self) -> None:
        """Remove what was kept long enough, or is too much."""
        now = time.monotonic()
        while self._kept and (now - self._kept[0][0] > KEEP or len(self._kept) >= MAX_KEPT):
            shutil.rmtree(self._kept.pop(0)[1], ignore_errors=True)

    def _store(self, names: Sequence[str], contents: Sequence[BinaryIO]) -> tuple[Path, list[Path]]:
        directory = None
        try:
            with self._account.file_access():
                directory = Path(tempfile.mkdtemp(prefix="upload-", dir=self._parent))
                paths = []
                for name, content in zip(names, contents, strict=True):
                    path = directory / name
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
                        shutil.copyfileobj(content, file, _PIECE)
                    paths.append(path)
                return directory, paths
        except OSError as error:
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)
            raise UploadError(f"the files cannot be stored: {error.strerror}") from error
