"""A control file in memory that counts like the real one and misbehaves when told to."""

import enum
import threading
import time

from plugins.scaletozero.commands import Command, ControlFileError, WriteResult

BLOCK_LIMIT = 20.0
"""Seconds after which a blocked write returns, so that a failing test does not leave threads behind."""


class Mode(enum.Enum):
    WORKS = enum.auto()
    SLOW = enum.auto()
    FAILS = enum.auto()
    BREAKS = enum.auto()
    ABSENT = enum.auto()
    BLOCKS = enum.auto()


class FlakyFile:
    def __init__(self, counter: int = 0) -> None:
        self.counter = counter
        self.mode = Mode.WORKS
        self.written = ""
        """Commands taken; a refused `-` counts, since it ends what we contributed."""
        self.attempts = ""
        self.blocked = threading.Event()
        """Set while a write is blocked."""
        self._unblock = threading.Event()
        self._lock = threading.Lock()

    def write(self, command: Command) -> WriteResult:
        self.attempts += command.value
        mode = self.mode
        if mode is Mode.BLOCKS:
            self.blocked.set()
            self._unblock.wait(BLOCK_LIMIT)
            self.blocked.clear()
        if mode is Mode.SLOW:
            time.sleep(0.003)
        if mode is Mode.FAILS:
            raise ControlFileError("cannot write /flaky for '+': Input/output error (errno 5 EIO)")
        if mode is Mode.BREAKS:
            raise RuntimeError("a bug")
        if mode is Mode.ABSENT:
            return WriteResult.ABSENT
        with self._lock:
            self.written += command.value
            if command is Command.LOWER and self.counter == 0:
                return WriteResult.REFUSED
            self.counter += 1 if command is Command.RAISE else -1
        return WriteResult.WRITTEN

    def reset(self) -> None:
        """Be told `=0` by somebody else."""
        with self._lock:
            self.counter = 0

    def set_mode(self, mode: Mode) -> None:
        self.mode = mode
        if mode is Mode.BLOCKS:
            self._unblock.clear()
        else:
            self._unblock.set()
