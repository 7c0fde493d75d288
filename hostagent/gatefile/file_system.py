"""The gate files as a file system: one directory, a file for each instance."""

import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mfusepy  # type: ignore[import-untyped]

from hostagent.gatefile import counter
from hostagent.gatefile.counts import Counts

log = logging.getLogger("gatefile")


class GateFiles(mfusepy.Operations):  # type: ignore[misc]
    """What FUSE asks; paths are `/` and `/ID`."""

    use_ns = True
    """Times are whole nanoseconds."""

    def __init__(self, counts: Counts, on_mounted: Callable[[], None]) -> None:
        self._counts = counts
        self._on_mounted = on_mounted
        self._since = time.time_ns()

    def init(self, path: str) -> None:
        """Be told that the kernel answers at the mount."""
        self._on_mounted()

    def _instance(self, path: str) -> str:
        instance = path[1:]
        try:
            self._counts.read(instance)
        except KeyError:
            raise mfusepy.FuseOSError(errno.ENOENT) from None
        return instance

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """A directory that nobody changes, or a file that everybody who sees it may write."""
        times = {"st_ctime": self._since, "st_mtime": self._since, "st_atime": self._since}
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o555, "st_nlink": 2, **times}
        size = len(counter.shown(self._counts.read(self._instance(path))))
        return {"st_mode": stat.S_IFREG | 0o666, "st_nlink": 1, "st_size": size, **times}

    def readdir(self, path: str, fh: int) -> Iterator[str]:
        """List the instances."""
        yield from (".", "..", *self._counts.all())

    def open(self, path: str, fi: Any) -> int:
        """Open for anything; O_TRUNC and O_APPEND mean nothing here."""
        self._instance(path)
        fi.direct_io = 1  # each write(2) is one command and comes to us as it is; no cache answers a read
        return 0

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """Leave the count alone."""
        self._instance(path)
        return 0

    def read(self, path: str, size: int, offset: int, fh: Any) -> bytes:
        """Return `=N` as it is now."""
        return counter.shown(self._counts.read(self._instance(path)))[offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, fh: Any) -> int:
        """Take one command, whatever the offset."""
        instance = self._instance(path)
        try:
            self._counts.write(instance, bytes(data))
        except counter.InvalidCommandError:
            raise mfusepy.FuseOSError(errno.EINVAL) from None
        except counter.OutOfRangeError:
            raise mfusepy.FuseOSError(errno.ERANGE) from None
        except OSError as error:
            log.error("the count of %s cannot be kept: %s", instance, error)
            raise mfusepy.FuseOSError(errno.EIO) from error
        return len(data)

    def chmod(self, path: str, mode: int) -> int:
        """Nobody changes rights."""
        raise mfusepy.FuseOSError(errno.EPERM)

    def chown(self, path: str, uid: int, gid: int) -> int:
        """Nobody changes owners."""
        raise mfusepy.FuseOSError(errno.EPERM)

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        """Files come and go with instances only."""
        raise mfusepy.FuseOSError(errno.EPERM)

    def statfs(self, path: str) -> dict[str, int]:
        """Say that nothing is stored here."""
        return {"f_bsize": os.sysconf("SC_PAGE_SIZE"), "f_namemax": 255}


def serve(counts: Counts, directory: Path, on_mounted: Callable[[], None]) -> None:
    """Mount at `directory` and answer until SIGTERM or the mount's end; one request at a time.

    Raises RuntimeError when FUSE refuses.
    """
    mfusepy.FUSE(
        GateFiles(counts, on_mounted), str(directory), raw_fi=True, nothreads=True, foreground=True,
        fsname="catnap-gate", subtype="catnap", allow_other=True,
        attr_timeout=0, entry_timeout=0, negative_timeout=0,
    )  # fmt: skip
