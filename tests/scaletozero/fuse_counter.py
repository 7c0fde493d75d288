"""Run as a program: a file system with one file that counts like the platform's control file.

Argument: mount point. Orders come as JSON lines on standard input, each answered by one line; the end of the
input ends it. `FuseControlFile` starts it, so that it is unmounted whatever happens to its user.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any

import mfusepy  # type: ignore[import-untyped]

NAME = "scale_to_zero_disable"
LARGEST = 1 << 64
COMMAND = re.compile(rb"([+-])(\d*)|=(\d+)")


class Counter:
    """The counter, what was done to it, and how it misbehaves at the moment."""

    def __init__(self) -> None:
        self.value = 0
        self.taken: list[str] = []
        """Commands that changed the counter, in order."""
        self.attempts: list[str] = []
        """Every write(), in order of arrival."""
        self.refused = 0
        self.absent = False
        self.write_error = 0
        """errno that every write() fails with; 0: none."""
        self.open_error = 0
        self.block_seconds = 0.0
        """How long each write() waits, from its arrival."""
        self.block_when = ""
        """Whether it waits `before` or `after` it is counted."""
        self.blocked = 0
        self.changed = threading.Condition()

    def write(self, data: bytes) -> None:
        """Take one command as the platform does."""
        with self.changed:
            self.attempts.append(data.decode(errors="replace"))
            self._wait("before")
            if self.write_error:
                raise mfusepy.FuseOSError(self.write_error)
            match = COMMAND.fullmatch(data)
            if match is None:
                raise mfusepy.FuseOSError(errno.EINVAL)
            sign, step, number = match.groups()
            value = int(number) if sign is None else self.value + int(sign + (step or b"1"))
            if not 0 <= value <= LARGEST:
                self.refused += 1
                raise mfusepy.FuseOSError(errno.ERANGE)
            self.value = value
            self.taken.append(data.decode())
            self._wait("after")

    def _wait(self, point: str) -> None:
        arrived = time.monotonic()
        while self.block_when == point and (left := arrived + self.block_seconds - time.monotonic()) > 0:
            self.blocked += 1
            self.changed.wait(left)
            self.blocked -= 1

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what the test says."""
        with self.changed:
            match order["do"]:
                case "block":
                    self.block_seconds = order["seconds"]
                    self.block_when = order["when"]
                case "set":
                    for name in order["names"]:
                        assert hasattr(self, name), name
                        setattr(self, name, order["names"][name])
                case "forget":
                    self.taken.clear()
                    self.attempts.clear()
                    self.refused = 0
                case "tell":
                    pass
            self.changed.notify_all()
            return {
                "value": self.value,
                "taken": "".join(self.taken),
                "attempts": "".join(self.attempts),
                "refused": self.refused,
                "blocked": self.blocked,
            }


class CounterFileSystem(mfusepy.Operations):  # type: ignore[misc]
    """One directory with one file, or none."""

    use_ns = True

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def init_with_config(self, conn_info: Any, config_3: Any) -> None:
        """Cache nothing: every system call arrives here as it is."""
        config_3.direct_io = 1
        config_3.entry_timeout = config_3.attr_timeout = config_3.negative_timeout = 0.0

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        self._exists(path)
        return {"st_mode": stat.S_IFREG | 0o666, "st_nlink": 1, "st_size": 0}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", ".."] if self._counter.absent else [".", "..", NAME]

    def open(self, path: str, flags: int) -> int:
        self._exists(path)
        if self._counter.open_error:
            raise mfusepy.FuseOSError(self._counter.open_error)
        return 0

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return f"={self._counter.value}".encode()[offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._counter.write(data)
        return len(data)

    def _exists(self, path: str) -> None:
        if path != f"/{NAME}" or self._counter.absent:
            raise mfusepy.FuseOSError(errno.ENOENT)


def obey_until_the_end(counter: Counter) -> None:
    """Answer orders; at the end of the input let every write go on and unmount."""
    for line in sys.stdin:
        print(json.dumps(counter.obey(json.loads(line))), flush=True)
    counter.obey({"do": "block", "seconds": 0, "when": ""})
    os.kill(os.getpid(), signal.SIGTERM)


def main(mount_point: Path) -> None:
    counter = Counter()
    threading.Thread(target=obey_until_the_end, args=(counter,), daemon=True).start()
    options = {"max_threads": 16, "max_idle_threads": 16}
    with contextlib.suppress(RuntimeError):  # how it says that a signal ended it
        mfusepy.FUSE(CounterFileSystem(counter), str(mount_point), foreground=True, **options)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
