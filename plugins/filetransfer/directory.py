"""The shared directory: listing, opening, deleting, and receiving files. Every call blocks: use a thread.

The browser's user may write there, and we may be root: no path is given to the kernel that somebody could
have made lead elsewhere. The directory is opened part by part without following links, files by their name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from plugins.filetransfer.messages import Entry
from plugins.filetransfer.names import UNFINISHED, BadName, existing

LONGEST_LIST = 1000
"""Files that are listed: the first by name."""

MOST_READ = 20_000
"""Names that are read to find them."""

_PLAIN = os.O_CLOEXEC | os.O_NOFOLLOW


class NoSuchFile(Exception):  # noqa: N818 (it says what there is)
    """There is no file of this name: nothing, a directory, a link, or something else that is no file."""


class SharedDirectory:
    """One directory, and the files right in it."""

    def __init__(self, path: Path) -> None:
        """`path` is absolute and has no links in it (`prepare`)."""
        self.path = path

    @classmethod
    def prepare(cls, path: Path) -> SharedDirectory:
        """Make the directory when it is absent, and remove what an end in the middle of an upload left.

        What is made belongs to whom the directory around it belongs to. Raises OSError.
        """
        path = path.expanduser().absolute()
        _make(path)
        directory = cls(path.resolve())
        directory._remove_unfinished()
        return directory

    def list(self) -> list[Entry]:
        """Return files and directories by name; of links and devices nobody hears. Raises OSError."""
        with self._opened() as directory, os.scandir(directory) as found:
            entries = [entry for item in islice(found, MOST_READ) if (entry := _entry(item)) is not None]
        return sorted(entries, key=lambda entry: entry.name)[:LONGEST_LIST]

    def open(self, name: str) -> int:
        """Open a file for reading; the caller closes the descriptor. Raises `BadName`, `NoSuchFile`."""
        name = existing(name)
        with _missing(), self._opened() as directory:
            # a pipe somebody put there would make us wait for its writer
            descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _PLAIN, dir_fd=directory)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise NoSuchFile
        return descriptor

    def delete(self, name: str) -> None:
        """Delete a file. Raises `BadName`, `NoSuchFile`, OSError."""
        name = existing(name)
        with _missing(), self._opened() as directory:
            if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                raise NoSuchFile
            os.unlink(name, dir_fd=directory)

    def receive(self, name: str) -> Incoming:
        """Begin a file of this name, which nobody sees before it is complete. Raises OSError."""
        with self._opened() as directory:
            return Incoming(os.dup(directory), name)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open("/", os.O_PATH | os.O_DIRECTORY | _PLAIN)
        try:
            for part in self.path.parts[1:]:
                inner = os.open(part, os.O_PATH | os.O_DIRECTORY | _PLAIN, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        try:
            yield readable
        finally:
            os.close(readable)

    def _remove_unfinished(self) -> None:
        """Remove files that were being received by a server that is gone; one that lives holds their lock."""
        with self._opened() as directory:
            for name in os.listdir(directory):  # noqa: PTH208 - a descriptor, no path
                if name.startswith(UNFINISHED):
                    with suppress(OSError):
                        _remove_unlocked(name, directory)


class Incoming:
    """A file that is being received, under a name of its own until `finish`."""

    def __init__(self, directory: int, name: str) -> None:
        """Take over the descriptor `directory`."""
        self._directory = directory
        self.name = name
        self._hidden = UNFINISHED + secrets.token_hex(8)
        self._file: int | None = None
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN
            self._file = os.open(self._hidden, flags, 0o644, dir_fd=directory)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            _give(self._file, os.fstat(directory))
        except BaseException:
            self.abandon()
            raise

    def write(self, content: bytes) -> None:
        """Append. Raises OSError, ENOSPC when the disk is full."""
        assert self._file is not None
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def finish(self) -> None:
        """Let the file appear under its name, in place of one that has it already.

        Raises:
            BadName: a directory has this name.
            OSError: anything else.
        """
        try:
            os.rename(self._hidden, self.name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except IsADirectoryError:
            raise BadName("a directory has this name") from None
        self._close()

    def abandon(self) -> None:
        """Leave nothing behind; after `finish`, and a second time, it does nothing."""
        if self._directory >= 0:
            with suppress(FileNotFoundError):
                os.unlink(self._hidden, dir_fd=self._directory)
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        os.close(self._directory)
        self._directory = -1


@contextmanager
def _missing() -> Iterator[None]:
    """Turn the kernel's ways to say "not a file you can have" into one."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NoSuchFile from None
    except OSError as error:
        # a link (ELOOP), or a device or socket that nobody serves (ENXIO)
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NoSuchFile from None
        raise


def _entry(item: os.DirEntry[str]) -> Entry | None:
    try:
        existing(item.name)
        if item.is_dir(follow_symlinks=False):
            return Entry(item.name, None)
        if item.is_file(follow_symlinks=False):
            return Entry(item.name, item.stat(follow_symlinks=False).st_size)
    except (BadName, OSError):
        pass  # not text, ours, or gone meanwhile
    return None


def _make(path: Path) -> None:
    if path.is_dir():
        return
    _make(path.parent)
    path.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _PLAIN)
    try:
        _give(descriptor, path.parent.stat())
    finally:
        os.close(descriptor)


def _give(descriptor: int, owner: os.stat_result) -> None:
    """Let a file we made belong to the user of the directory, so that the browser can use it."""
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _remove_unlocked(name: str, directory: int) -> None:
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _PLAIN, dir_fd=directory)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=directory)
    finally:
        os.close(descriptor)
