"""The cgroups of one instance: frozen and thawed by one, its memory counted and given back by another."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

from hostagent.errors import HostError, UnsupportedError
from hostagent.runtimes.process.hierarchies import Hierarchies

NO_FREEZER = (
    "neither cgroup v2 nor the freezer of cgroup v1 is mounted, and instances are kept by one of them"
)
FREEZE_DEADLINE = 5.0
"""Seconds; it takes one millisecond unless a process hangs in the kernel."""
EMPTY_DEADLINE = 5.0
_CHUNK = 64 << 20
"""Bytes asked back at once, so that a wake in the middle is not worked against for long."""


class Cgroup:
    """Directories of one name in the hierarchies that serve to freeze and to count memory."""

    def __init__(self, hierarchies: Hierarchies, name: str) -> None:
        self._v2 = hierarchies.unified is not None
        freezer = hierarchies.unified or hierarchies.freezer
        self._freezer = freezer / name if freezer else None
        if hierarchies.unified is not None and hierarchies.unified_memory:
            self._memory: Path | None = hierarchies.unified / name
        else:
            self._memory = hierarchies.memory / name if hierarchies.memory else None
        self._memory_v2 = hierarchies.unified_memory
        self._switch: int | None = None

    @property
    def directories(self) -> tuple[Path, ...]:
        """Every directory, for a process to join."""
        return tuple(dict.fromkeys(path for path in (self._freezer, self._memory) if path is not None))

    def make(self) -> None:
        """Create what is missing; raises HostError naming the directory that cannot be made."""
        if self._freezer is None:
            raise UnsupportedError(NO_FREEZER)
        for directory in self.directories:
            try:
                if directory == self._memory and self._memory_v2:
                    self._pass_memory_on(directory)
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise HostError(
                    f"cannot make the cgroup {directory}: {error.strerror}; the agent needs root and a "
                    "writable /sys/fs/cgroup (in a container: --privileged, or a cgroup namespace of its own)"
                ) from error

    def _pass_memory_on(self, directory: Path) -> None:
        above = directory.parent
        above.mkdir(parents=True, exist_ok=True)
        for level in (above.parent, above):
            with contextlib.suppress(OSError):  # then memory.* is missing below, and the probe says so
                (level / "cgroup.subtree_control").write_text("+memory")

    def exists(self) -> bool:
        """Whether there is anything of it."""
        return any(directory.is_dir() for directory in self.directories)

    def processes(self) -> list[int]:
        """Return the pids in it, empty when it is not there."""
        if self._freezer is None:
            return []
        try:
            return [int(pid) for pid in (self._freezer / "cgroup.procs").read_text().split()]
        except (FileNotFoundError, OSError):
            return []

    # freezing

    def open(self) -> None:
        """Open the switch, so that `thaw` is a single write."""
        if self._switch is None and self._freezer is not None:
            with contextlib.suppress(FileNotFoundError):
                self._switch = os.open(self._freezer / self._switch_name, os.O_WRONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close it."""
        if self._switch is not None:
            os.close(self._switch)
            self._switch = None

    @property
    def _switch_name(self) -> str:
        return "cgroup.freeze" if self._v2 else "freezer.state"

    def _turn(self, *, frozen: bool) -> None:
        self.open()
        if self._switch is None:
            return
        text = (b"1" if frozen else b"0") if self._v2 else (b"FROZEN" if frozen else b"THAWED")
        os.pwrite(self._switch, text, 0)

    def thaw(self) -> None:
        """Let the processes run; a single write, fine when they run or are gone."""
        with contextlib.suppress(OSError):  # ENODEV: the cgroup was removed, so nothing in it stands still
            self._turn(frozen=False)

    def is_frozen(self) -> bool:
        """Whether the kernel says that every process in it stands still."""
        if self._freezer is None:
            return False
        try:
            if self._v2:
                return "frozen 1" in (self._freezer / "cgroup.events").read_text()
            return (self._freezer / "freezer.state").read_text().strip() == "FROZEN"
        except OSError:
            return False

    def is_told_to_freeze(self) -> bool:
        """Whether it is frozen or will be, as soon as its last process lets itself be stopped."""
        if self._freezer is None:
            return False
        try:
            return (self._freezer / self._switch_name).read_text().strip() in ("1", "FROZEN", "FREEZING")
        except OSError:
            return False

    async def freeze(self) -> None:
        """Stop every process; returns when all stand still, else thaws and raises HostError."""
        if self._freezer is None:
            raise UnsupportedError(NO_FREEZER)
        deadline = time.monotonic() + FREEZE_DEADLINE
        pause = 0.0002
        try:
            self._turn(frozen=True)
            while not self.is_frozen():
                if time.monotonic() > deadline:
                    raise HostError(
                        f"{self._freezer} did not freeze within {FREEZE_DEADLINE:g} s: {self._who_moves()}; "
                        "it is awake again"
                    )
                await asyncio.sleep(pause)
                pause = min(pause * 2, 0.02)
        except OSError as error:
            raise HostError(f"cannot freeze {self._freezer}: {error.strerror}") from error
        except BaseException:
            self.thaw()
            raise

    def _who_moves(self) -> str:
        states = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                after = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
                states.append(f"{pid} in state {after[0]}")
        return "processes " + ", ".join(states[:8]) if states else "no process is in it"

    # memory

    def memory_bytes(self) -> int | None:
        """Return the memory charged to it, None where nobody counts."""
        if self._memory is None:
            return None
        name = "memory.current" if self._memory_v2 else "memory.usage_in_bytes"
        try:
            return int((self._memory / name).read_text())
        except OSError:
            return None

    def reclaim(self) -> int:
        """Move memory to swap and drop caches, as far as it goes while frozen; return the bytes given back.

        Blocks for some tenths of a second: call it in a thread. Raises HostError.
        """
        before = self.memory_bytes()
        if before is None or self._memory is None:
            raise UnsupportedError("nobody counts this instance's memory: no cgroup memory controller")
        try:
            if self._memory_v2:
                self._reclaim_in_chunks(self._memory, before)
            else:
                (self._memory / "memory.force_empty").write_text("0")
        except FileNotFoundError as error:
            raise UnsupportedError(f"{error.filename} is missing: memory cannot be asked back") from error
        except OSError as error:
            raise HostError(f"cannot take memory back from {self._memory}: {error.strerror}") from error
        return max(0, before - (self.memory_bytes() or 0))

    def _reclaim_in_chunks(self, directory: Path, amount: int) -> None:
        while amount > 0 and self.is_frozen():
            try:
                (directory / "memory.reclaim").write_text(str(min(amount, _CHUNK)))
            except BlockingIOError:  # EAGAIN: got less than was asked for, so that was all
                return
            amount -= _CHUNK

    # ending

    def kill(self) -> None:
        """Kill every process in it, frozen ones too."""
        if self._freezer is None:
            return
        try:
            (self._freezer / "cgroup.kill").write_text("1")
        except OSError:  # v1, or before Linux 5.14
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.thaw()  # in v1 only a thawed process dies

    async def remove(self) -> None:
        """Kill what is in it and remove it; returns when nothing is left. Raises HostError."""
        deadline = time.monotonic() + EMPTY_DEADLINE
        while self.processes():
            self.kill()
            if time.monotonic() > deadline:
                raise HostError(f"processes in {self._freezer} do not end: {self._who_moves()}")
            await asyncio.sleep(0.005)
        self.close()
        for directory in self.directories:
            await _remove(directory, deadline)


async def _remove(directory: Path, deadline: float) -> None:
    while True:
        try:
            os.rmdir(directory)  # noqa: PTH106 (a moment in the kernel)
        except FileNotFoundError:
            return
        except OSError as error:  # EBUSY: the last process is on its way out
            if time.monotonic() > deadline:
                raise HostError(f"cannot remove {directory}: {error.strerror}") from error
            await asyncio.sleep(0.005)
        else:
            return
