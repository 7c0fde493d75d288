"""Stopping a whole tree of processes at any instruction: the kernel's freezer (cgroup v2, else v1)."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_until

ROOTS_V2 = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
ROOT_V1 = Path("/sys/fs/cgroup/freezer")
DEADLINE = 10.0
"""Seconds that freezing, thawing and ending may take."""


class Freezer:
    """A control group: what is started with `launcher` belongs to it, with all its children."""

    def __init__(self, group: Path) -> None:
        self.group = group
        self._v2 = (group / "cgroup.freeze").exists()

    @property
    def launcher(self) -> list[str]:
        """The words in front of a command that make it start in the group."""
        return ["sh", "-c", f'echo $$ > "{self.group}/cgroup.procs" && exec "$@"', "sh"]

    def freeze(self) -> float:
        """Stop everything in the group; return when it stood (`time.monotonic`)."""
        self._write(frozen=True)
        wait_until(self._frozen, within=DEADLINE, what=f"{self.group} is frozen")
        return time.monotonic()

    def thaw(self) -> float:
        """Let everything go on; return when it was told to (`time.monotonic`)."""
        now = time.monotonic()
        self._write(frozen=False)
        return now

    def remove(self) -> None:
        """Thaw, end what is still there, and remove the group."""
        self.thaw()

        def empty() -> bool:
            pids = [int(line) for line in (self.group / "cgroup.procs").read_text().split()]
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not pids

        wait_until(empty, within=DEADLINE, what=f"{self.group} is empty")
        wait_until(self._removed, within=DEADLINE, what=f"{self.group} is removed")

    def _removed(self) -> bool:
        with contextlib.suppress(OSError):
            self.group.rmdir()
        return not self.group.exists()

    def _write(self, *, frozen: bool) -> None:
        if self._v2:
            (self.group / "cgroup.freeze").write_text("1" if frozen else "0")
        else:
            (self.group / "freezer.state").write_text("FROZEN" if frozen else "THAWED")

    def _frozen(self) -> bool:
        if self._v2:
            return "frozen 1" in (self.group / "cgroup.events").read_text()
        return (self.group / "freezer.state").read_text().strip() == "FROZEN"


@contextlib.contextmanager
def freezer() -> Iterator[Freezer]:
    """Give a group of its own; skip the test, with the system's answers, where none can be made."""
    answers: list[str] = []
    for root in (*ROOTS_V2, ROOT_V1):
        group = root / f"catnap-test-{os.getpid()}-{time.monotonic_ns()}"
        try:
            group.mkdir()
        except OSError as error:
            answers.append(f"{root}: {error.strerror}")
            continue
        if not ((group / "cgroup.freeze").exists() or (group / "freezer.state").exists()):
            answers.append(f"{root}: no freezer there")
            group.rmdir()
            continue
        made = Freezer(group)
        try:
            yield made
        finally:
            made.remove()
        return
    pytest.skip(f"no freezer on this machine: {'; '.join(answers)}")
