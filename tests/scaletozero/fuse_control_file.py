"""A control file that behaves like the platform's, in a file system of its own (FUSE).

It counts `+`, `-`, `=N`, `+N` and `-N`, reads `=N`, refuses to go below zero with ERANGE and anything else
with EINVAL; truncation does nothing. By order it fails, blocks, disappears and comes back. It is served by
another process (`fuse_counter.py`), as the platform's is by another kernel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tests.scaletozero.fuse_counter import NAME
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
START_DEADLINE = 20.0
STOP_DEADLINE = 10.0
LONGEST_BLOCK = 60.0
"""Seconds after which a blocked write goes on in any case, so that a failing test leaves nobody stuck."""


class FuseControlFile:
    """The file at `path`, mounted while the context lasts. Needs root or `fusermount3`, and `/dev/fuse`."""

    def __init__(self, counter: int = 0) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="catnap-fuse-")
        self._mount_point = Path(self._directory.name)
        self.path = self._mount_point / NAME
        self._begins_at = counter
        self._process: subprocess.Popen[str] | None = None
        self._order_lock = threading.Lock()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.scaletozero.fuse_counter", str(self._mount_point)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            wait_until(self._is_mounted, within=START_DEADLINE, what="the control file is mounted")
            self._set(value=self._begins_at)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Unmount, whatever state it is in; writes that were blocked go on first."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(STOP_DEADLINE)
        except (subprocess.TimeoutExpired, OSError):
            process.kill()
            process.wait()
        finally:
            if os.path.ismount(self._mount_point) or not os.access(self._mount_point, os.R_OK):
                subprocess.run(["umount", "-l", str(self._mount_point)], check=False, capture_output=True)
            assert process.stdout is not None
            process.stdout.close()
            self._directory.cleanup()

    @property
    def value(self) -> int:
        """The counter."""
        return int(self._tell()["value"])

    @property
    def taken(self) -> str:
        """The commands that changed the counter, in order."""
        return str(self._tell()["taken"])

    @property
    def attempts(self) -> str:
        """Every write(), in order, also those that failed or are blocked."""
        return str(self._tell()["attempts"])

    @property
    def refused(self) -> int:
        """How many writes would have left the counter's range."""
        return int(self._tell()["refused"])

    @property
    def blocked(self) -> bool:
        """Whether a write() is blocked now."""
        return bool(self._tell()["blocked"])

    def fail(self, error: int, *, at: Literal["open", "write"] = "write") -> None:
        """Answer every open() or write() with this errno from now on; 0 ends it."""
        if at == "open":
            self._set(open_error=error)
        else:
            self._set(write_error=error)

    def block(self, seconds: float = LONGEST_BLOCK, *, when: Literal["before", "after"] = "before") -> None:
        """Let each write() wait that long, before or after it is counted, or until `unblock`."""
        self._order({"do": "block", "seconds": min(seconds, LONGEST_BLOCK), "when": when})

    def unblock(self) -> None:
        """Let blocked writes go on."""
        self.block(0)

    def disappear(self) -> None:
        """Be absent; the counter stays."""
        self._set(absent=True)

    def come_back(self) -> None:
        """Be there again."""
        self._set(absent=False)

    def reset(self, counter: int = 0) -> None:
        """Be as new, for the next test."""
        self.unblock()
        self._set(value=counter, absent=False, write_error=0, open_error=0)
        self.forget()

    def forget(self) -> None:
        """Begin anew to remember writes."""
        self._order({"do": "forget"})

    def _is_mounted(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError("the file system ended; is there a /dev/fuse, and is fuse3 installed?")
        return os.path.ismount(self._mount_point)

    def _tell(self) -> dict[str, Any]:
        return self._order({"do": "tell"})

    def _set(self, **names: object) -> None:
        self._order({"do": "set", "names": names})

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        with self._order_lock:
            assert self._process is not None, "the control file is not mounted"
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
            return answer
