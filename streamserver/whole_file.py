"""Replacing a file as a whole: after a crash at any moment the old or the new one is there."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def replace_whole(path: Path, content: bytes, *, unchanged: Callable[[], bool] = lambda: True) -> bool:
    """Write the content beside the file, flush it to the disk, and put it in the file's place.

    Only its owner may read the new file.

    Args:
        path: what to replace; a symbolic link itself, where it is one.
        content: all of the new file.
        unchanged: asked last; False leaves the file as it is.

    Returns:
        Whether it was replaced.

    Raises:
        OSError: then the file is as it was, unless only its directory could not be flushed.
    """
    # a name of its own: another process may be writing, and in its own pid namespace ours is no name
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        _write(beside, content)
        if not unchanged():
            beside.unlink()
            return False
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    _flush_directory(path.parent)
    return True


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)  # whatever the umask
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _flush_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
